"""Our own JSON API: a team's jobs, listed and explained, and hidden from other teams."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import World, small_png
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program, begun, program_of
from jobs.tests.api.test_pixian import refusal
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

MISSING = 10**9


def got(program: Program, address: str, **query: str | int) -> Any:
    answer = program.http.get(address, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(page: Any) -> list[int]:
    return [item["id"] for item in page["items"]]


def add(committed_world: World, count: int) -> list[int]:
    return [committed_world.job(small_png(9, 9)).pk for _ in range(count)]


def test_a_job_is_explained(committed_world: World, reader: Program, server: Server) -> None:
    job = committed_world.job(small_png(1234, 1000))
    server.script.append(wire.answer(charged="0.777001"))
    run(server)
    job.refresh_from_db()
    told = got(reader, f"/api/jobs/{job.pk}")

    assert (told["id"], told["state"], told["reason"], told["origin"]) == (job.pk, "done", None, "browser")
    assert (told["who"], told["key"], told["test"]) == ("alice@example.org", None, False)
    assert (told["batch"], told["options"]) == (None, {"output.format": "delta_png"})
    assert datetime.fromisoformat(told["created_at"]).replace(microsecond=0) == job.created_at.replace(
        microsecond=0
    )
    assert told["picture"] == {
        "name": "photo.png",
        "content_type": "image/png",
        "width": 1234,
        "height": 1000,
        "bytes": job.source_bytes,
        "sha256": job.source_sha256,
    }
    assert told["result"] == {
        "name": "photo-cutout.png",
        "content_type": "image/png",
        "bytes": None,  # it isn't made yet
        "sha256": None,
    }
    png = reader.http.get(f"/api/jobs/{job.pk}/result").content
    made = {"bytes": len(png), "sha256": hashlib.sha256(png).hexdigest()}
    assert got(reader, f"/api/jobs/{job.pk}")["result"] == told["result"] | made
    assert got(reader, "/api/jobs")["items"][0]["result"] == told["result"] | made
    money = {name: told[name] for name in ("estimated", "held", "charged", "booked", "verdict")}
    assert money == {
        "estimated": "1.234",
        "held": "1.234",
        "charged": "0.777001",
        "booked": "0.777001",
        "verdict": "matched",
    }


def test_each_attempt_is_told(committed_world: World, reader: Program, server: Server) -> None:
    committed_world.job()
    server.script += [wire.error(500), wire.answer(charged="1.5")]
    run(server)
    job, _wait = run(server)
    first, second = got(reader, f"/api/jobs/{job.pk}")["attempts"]
    assert (first["number"], first["state"], first["verdict"], first["status"]) == (
        1,
        "released",
        "released",
        500,
    )
    assert (first["held"], first["charged"], first["booked"]) == ("1", None, "0")
    assert first["error"]["message"]
    assert (second["number"], second["state"], second["verdict"]) == (2, "booked", "overage")
    assert (second["charge_header"], second["charged"], second["booked"]) == ("1.5", "1.5", "1.5")
    assert (second["sends"], second["error"]) == (1, None)


def test_a_programs_job_names_its_key(committed_world: World, reader: Program) -> None:
    job = begun(reader.key, options={"output.format": "jpeg"})
    told = got(reader, f"/api/jobs/{job.pk}")
    assert told["key"] == {"id": reader.key.api_id, "name": "shop"}
    assert (told["who"], told["origin"]) == ("bob@example.org", "api")
    assert told["options"] == {"output.format": "jpeg"}
    assert (told["charged"], told["booked"], told["result"]) == (None, None, None)


def test_a_test_costs_nothing(committed_world: World, reader: Program) -> None:
    job = begun(reader.key, test=True)
    told = got(reader, f"/api/jobs/{job.pk}")
    assert (told["test"], told["held"], told["attempts"][0]["held"]) == (True, "0", "0")


def test_the_newest_comes_first(committed_world: World, reader: Program) -> None:
    first, second, third = add(committed_world, 3)
    page = got(reader, "/api/jobs")
    assert (ids(page), page["next"]) == ([third, second, first], None)


def test_an_empty_list_is_a_list(reader: Program) -> None:
    assert got(reader, "/api/jobs") == {"items": [], "next": None}


def walk(committed_world: World, reader: Program, meanwhile: int) -> list[list[int]]:
    """All pages of two by their ``next``; new jobs come in between."""
    pages, address = [], "/api/jobs?limit=2&origin=browser"
    while address:
        page = got(reader, address)
        pages.append(ids(page))
        address = page["next"]
        add(committed_world, meanwhile)
    return pages


@pytest.mark.parametrize("meanwhile", [0, 1, 3])
def test_pages_neither_skip_nor_repeat(committed_world: World, reader: Program, meanwhile: int) -> None:
    jobs = add(committed_world, 5)
    begun(reader.key)  # left out by the filter, on every page
    pages = walk(committed_world, reader, meanwhile)
    assert pages == [jobs[4:2:-1], jobs[2:0:-1], jobs[:1]]


def test_a_full_last_page_is_the_last(committed_world: World, reader: Program) -> None:
    add(committed_world, 2)
    assert got(reader, "/api/jobs", limit=2)["next"] is None


@pytest.fixture
def mixed(committed_world: World, reader: Program, server: Server) -> dict[str, int]:
    """One job of each kind, the eldest of which came in November 2026."""
    done = committed_world.job(small_png(9, 9))
    run(server)
    Job.objects.filter(pk=done.pk).update(
        name="Été.png", created_at=datetime(2026, 11, 5, 23, 59, 59, tzinfo=UTC)
    )
    dropped = begun(reader.key, origin=Job.Origin.DROP_IN)
    Job.objects.exclude(pk=done.pk).update(created_at=datetime(2026, 12, 1, tzinfo=UTC))
    return {"done": done.pk, "dropped": dropped.pk}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["dropped", "done"]),
        ({"state": "done"}, ["done"]),
        ({"state": "failed"}, []),
        ({"origin": "drop_in"}, ["dropped"]),
        ({"name": "té.p"}, ["done"]),
        ({"name": "PHOTO"}, ["dropped"]),
        ({"name": "%"}, []),
        ({"name": "p_o"}, []),
        ({"since": "2026-11-05", "until": "2026-11-05"}, ["done"]),
        ({"since": "2026-11-06"}, ["dropped"]),
        ({"until": "2026-11-04"}, []),
        ({"since": "2026-12-01", "until": "2026-11-01"}, []),
        ({"since": "0001-01-01", "until": "9999-12-31"}, ["dropped", "done"]),
        ({"origin": "browser", "state": "done", "name": "png"}, ["done"]),
    ],
)
def test_the_list_is_filtered(
    mixed: dict[str, int], reader: Program, query: dict[str, str], expected: list[str]
) -> None:
    assert ids(got(reader, "/api/jobs", **query)) == [mixed[name] for name in expected]


def test_the_list_is_filtered_by_key(mixed: dict[str, int], reader: Program) -> None:
    assert ids(got(reader, "/api/jobs", key=reader.key.api_id)) == [mixed["dropped"]]
    assert ids(got(reader, "/api/jobs", key="px0000000000000")) == []


@pytest.mark.parametrize("rest", ["", "/result", "/source"])
def test_another_teams_job_is_told_like_a_missing_one(
    committed_world: World, reader: Program, server: Server, rest: str
) -> None:
    job = committed_world.job()
    run(server)
    assert reader.http.get(f"/api/jobs/{job.pk}{rest}").status_code == 200
    others = committed_world.charlie.memberships.get().team
    with program_of(others, committed_world.charlie) as outsider:
        foreign, missing = (outsider.http.get(f"/api/jobs/{pk}{rest}") for pk in (job.pk, MISSING))
    assert refusal(foreign) == (404, 404)
    assert (foreign.content, _without_ids(foreign)) == (missing.content, _without_ids(missing))


def _without_ids(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


def test_lists_show_the_teams_own(committed_world: World, reader: Program) -> None:
    (job,) = add(committed_world, 1)
    others = committed_world.charlie.memberships.get().team
    with program_of(others, committed_world.charlie) as outsider:
        assert got(outsider, "/api/jobs")["items"] == []
        assert got(outsider, "/api/jobs", before=job + 1)["items"] == []
        assert got(outsider, "/api/jobs", key=reader.key.api_id)["items"] == []


def test_ten_jobs_cost_as_many_queries_as_two(
    committed_world: World, reader: Program, server: Server
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert got(reader, "/api/jobs", limit=100)["items"]
        return len(captured)

    for _ in range(2):
        committed_world.job(small_png(9, 9))
        run(server)
    got(reader, "/api/jobs")  # notes that the key is used
    few = queries()
    add(committed_world, 8)
    assert queries() == few
