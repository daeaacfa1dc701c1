"""Every job of the team, newest first, by pages that don't shift."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conftest import World, small_png
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from jobs.views.history import history

SCRIPT = {"HX-Request": "true"}


@pytest.fixture
def bob(world: World, client: Client) -> Client:
    client.force_login(world.bob)
    return client


def add(world: World, count: int) -> list[Job]:
    return [world.job(small_png(9, 9)) for _ in range(count)]


def look(client: Client, world: World, headers: dict[str, str] | None = None, **query: str | int) -> Any:
    return client.get(reverse("history", args=[world.team.slug]), query, headers=headers)


def shown(response: Any) -> list[int]:
    assert response.status_code == 200
    return [row.job.pk for row in response.context["rows"]]


def test_the_newest_comes_first(world: World, bob: Client) -> None:
    jobs = add(world, 3)
    response = look(bob, world)
    assert shown(response) == [job.pk for job in reversed(jobs)]
    text = response.content.decode()
    places = [text.index(f'id="job-{job.pk}"') for job in reversed(jobs)]
    assert places == sorted(places)
    assert response.context["older"] is None


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 200), ("vera", 200), ("charlie", 404)])
def test_who_sees_it(world: World, client: Client, who: str, status: int) -> None:
    client.force_login(getattr(world, who))
    assert look(client, world).status_code == status


def test_strangers_are_sent_to_the_log_in(world: World, client: Client) -> None:
    assert look(client, world).status_code == 302
    assert look(client, world, SCRIPT).status_code == 401


def test_an_empty_history_is_a_page(world: World, bob: Client) -> None:
    assert shown(look(bob, world)) == []


def test_only_the_teams_own_are_shown(world: World, client: Client) -> None:
    add(world, 2)
    client.force_login(world.charlie)
    assert shown(client.get(reverse("history", args=["outsiders"]))) == []


def test_each_row_explains_its_money(world: World, bob: Client, server: Server) -> None:
    world.job(small_png(1234, 1000))
    server.script.append(wire.answer(charged="0.777"))
    run(server)
    text = look(bob, world).content.decode()
    for expected in ("1.23", "0.777", "matched", "alice@example.org", "photo.png"):
        assert expected in text
    row = look(bob, world).context["rows"][0]
    assert (row.books.estimated, row.books.held) == (1_234_000, 1_234_000)
    assert (row.books.charged, row.books.booked, row.books.verdict) == (777_000, 777_000, "matched")


def walk(client: Client, world: World, meanwhile: int = 0) -> list[list[int]]:
    """Follow all pages by their links, while jobs are added after the first page."""
    response = look(client, world)
    pages = [shown(response)]
    add(world, meanwhile)
    while older := response.context["older"]:
        assert f"before={older}" in response.content.decode()
        response = look(client, world, before=older)
        pages.append(shown(response))
    return pages


@pytest.mark.parametrize(
    ("count", "sizes"), [(2, [2]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1]), (9, [3, 3, 3])]
)
def test_the_pages_hold_every_job_once(
    world: World, bob: Client, monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    jobs = add(world, count)
    pages = walk(bob, world)
    assert [len(page) for page in pages] == sizes
    assert [pk for page in pages for pk in page] == [job.pk for job in reversed(jobs)]


def test_a_new_job_does_not_shift_the_rows(
    world: World, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    jobs = add(world, 7)
    pages = walk(bob, world, meanwhile=2)
    assert [pk for page in pages for pk in page] == [job.pk for job in reversed(jobs)]


@pytest.mark.parametrize("before", ["", "abc", "-1", "1e3", str(10**30), "٣", "²", "1 OR 1=1", "9" * 19])
def test_a_malformed_page_is_the_first(world: World, bob: Client, before: str) -> None:
    add(world, 2)
    assert len(shown(look(bob, world, before=before))) == 2


@pytest.mark.parametrize(("before", "rows"), [("0", 0), ("1", 0), ("9" * 18, 2), ("0" * 17 + "1", 0)])
def test_any_number_is_a_page(world: World, bob: Client, before: str, rows: int) -> None:
    add(world, 2)
    assert len(shown(look(bob, world, before=before))) == rows


def test_a_page_is_polled_by_what_was_seen(world: World, bob: Client, server: Server) -> None:
    world.job()
    first = look(bob, world, SCRIPT)
    assert shown(first)
    assert "<html" not in first.content.decode()
    seen = first.context["seen"]
    assert look(bob, world, SCRIPT, seen=seen).status_code == 204
    run(server)
    assert look(bob, world, SCRIPT, seen=seen).status_code == 200


def test_a_later_page_is_polled_as_itself(world: World, bob: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    jobs = add(world, 4)
    second = look(bob, world, SCRIPT, before=jobs[2].pk)
    assert shown(second) == [jobs[1].pk, jobs[0].pk]
    assert f"before={jobs[2].pk}" in second.context["address"]
    polled = f"{second.context['address']}&seen={second.context['seen']}"
    assert bob.get(polled, headers=SCRIPT).status_code == 204


def test_ten_jobs_cost_as_many_queries_as_two(world: World, bob: Client, server: Server) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            look(bob, world)
        return len(captured)

    for _ in range(2):
        world.job()
        run(server)
    few = queries()
    add(world, 4)
    for _ in range(4):
        run(server)
    add(world, 4)
    assert len(shown(look(bob, world))) == 10
    assert queries() == few
