"""Erased pictures are shown nowhere and have no names; what they cost stays explained to the last digit."""

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.models import AuditEntry, Transfer
from conftest import World
from jobs.audit.verify import run as verify
from jobs.batches import control
from jobs.models import Attempt, BadResult, BatchFile, DamagedResult, Job, UsageDay
from jobs.queue import claims
from jobs.retention import erase
from jobs.search import name_index
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.retention.erased import cut_out, erased, purge_now, reused, stored
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


@pytest.fixture
def alice(client: Client, world: World) -> Client:
    client.force_login(world.alice)
    return client


def test_its_rows_stay_and_its_names_go(world: World, server: Server) -> None:
    job = cut_out(world, server)
    assert erased(world, job) == 1
    job.refresh_from_db()
    assert (job.name, job.folder, job.state) == (str(job.pk), "", "done")
    assert job.erased_at
    assert job.purged_at is None
    file = BatchFile.objects.get(batch=job.batch)
    assert (file.name, file.folder, file.url) == ("1", "", "")
    entry = AuditEntry.objects.get(action="erase")
    assert (entry.actor, entry.team, entry.subject, entry.after) == (
        world.alice,
        world.team,
        "job:1",
        {"pictures": 1},
    )
    assert erased(world, job) == 0


def books_of(client: Client, job: Job) -> list[Any]:
    """Return all that explains credits, as people and programs see it, with names replaced."""
    shown = []
    for route in ("statement_csv", "statement_json", "usage_csv", "history_csv"):
        content = b"".join(client.get(reverse(route, args=["aurora"])))
        shown.append(content.replace(b"secret.png", str(job.pk).encode()).replace(b"clients", b""))
    rows = [list(model.objects.order_by("pk").values()) for model in (Transfer, Attempt, UsageDay)]
    return [*shown, rows, ledger.balances(job.team)]


def test_the_books_say_the_same_before_and_after(world: World, alice: Client, server: Server) -> None:
    job = cut_out(world, server)
    reused(world)
    before = books_of(alice, job)
    erased(world, job)
    assert books_of(alice, job) == before
    purge_now()
    assert books_of(alice, job) == before
    assert verify().findings == []


def test_no_page_shows_it_any_more(world: World, alice: Client, server: Server) -> None:
    job = cut_out(world, server)
    erased(world, job)
    for route, rest in [
        ("download", []),
        ("shown", ["after", "tile"]),
        ("shown", ["before", "page"]),
        ("styled", []),
        ("styled_download", []),
    ]:
        assert alice.get(reverse(route, args=["aurora", job.pk, *rest])).status_code == 404, route
    page = alice.get(job.get_absolute_url()).content.decode()
    assert "The picture was deleted." in page
    assert "secret" not in page
    assert "tile.webp" not in page
    assert "page.webp" not in page
    for address in (reverse("history", args=["aurora"]), reverse("batch", args=["aurora", job.batch_id])):
        page = alice.get(address).content.decode()
        assert f"/jobs/{job.pk}/" in page
        assert ".webp" not in page
        assert "secret" not in page
    zipped = b"".join(alice.get(reverse("batch_zip", args=["aurora", job.batch_id])))
    assert b"The picture was deleted." in zipped
    assert b"IEND" not in zipped


def test_a_program_learns_that_it_is_gone(committed_world: World, reader: Program, server: Server) -> None:
    job = cut_out(committed_world, server)
    erased(committed_world, job)
    for route in ("api_result", "api_source"):
        answer = reader.http.get(reverse(route, args=[job.pk]))
        assert (answer.status_code, answer.json()["error"]["status"]) == (410, 410)
    shown = reader.http.get(reverse("api_job", args=[job.pk])).json()
    assert (shown["result"], shown["picture"]["name"], shown["state"]) == (None, str(job.pk), "done")
    assert shown["erased_at"]
    assert (shown["charged"], shown["booked"], shown["verdict"]) == ("1", "1", "matched")


def test_a_repeated_call_learns_it_too(program: Program, server: Server) -> None:
    key = {"Idempotency-Key": "order 4711"}
    assert program.call(headers=key).status_code == 200
    job = Job.objects.get()
    assert erase.erase(job.team, [job.pk], subject="job:1", actor=None) == 1
    answer = program.call(headers=key)
    assert (answer.status_code, server.calls) == (410, 1)


def test_nothing_works_on_it_any_more(world: World, server: Server) -> None:
    server.script.append(wire.error(400, 1, "no"))
    job = world.job(keep=True, batch="11111111-0000-4000-8000-000000000000")
    run(server)
    erased(world, job)
    assert job.batch
    assert control.retry(job.batch, world.bob) == 0
    assert not claims.requeue(job, world.bob)
    with pytest.raises(IntegrityError), transaction.atomic():  # the database has the last word
        Job.objects.filter(pk=job.pk).update(state="queued")


def test_its_old_name_finds_nothing(world: World, alice: Client, server: Server) -> None:
    job = cut_out(world, server)
    assert name_index.is_there()
    history = reverse("history", args=["aurora"])
    assert f"/jobs/{job.pk}/" in alice.get(history, {"name": "secret"}).content.decode()
    erased(world, job)
    assert f"/jobs/{job.pk}/" not in alice.get(history, {"name": "secret"}).content.decode()
    found = name_index.candidates(world.team.pk, ["secret"], job.pk + 1, 10)
    assert found
    assert found.keys == []


def test_what_is_on_its_way_or_to_be_decided_stays(world: World, server: Server) -> None:
    waiting = world.job()
    assert erased(world, waiting) == 0
    server.script.append(wire.no_answer)
    in_doubt = run(server)[0]
    assert (in_doubt.state, erased(world, in_doubt)) == ("in_doubt", 0)
    done = cut_out(world, server)
    BadResult.objects.create(job=done, reported_by=world.bob, note="a hole")
    assert erased(world, done) == 0
    assert erase.erasable(Job.objects.all()).count() == 0


def test_a_charge_that_waits_for_a_review_keeps_its_picture(world: World, server: Server) -> None:
    server.script.append(wire.answer(charged="1.500000"))
    world.job()
    job = run(server)[0]
    assert (job.state, erased(world, job)) == ("done", 0)
    job.attempts.update(reviewed_at=job.created_at)
    assert erased(world, job) == 1


def test_a_damaged_result_that_is_erased_is_no_case_any_more(world: World, server: Server) -> None:
    job = cut_out(world, server)
    DamagedResult.objects.create(job=job)
    assert erased(world, job) == 1
    assert not DamagedResult.objects.exists()


def test_another_teams_picture_is_not_erased(world: World, server: Server) -> None:
    job = cut_out(world, server)
    other = world.charlie.memberships.get().team
    assert erase.erase(other, [job.pk], subject="job:1", actor=world.charlie) == 0


def test_a_batch_goes_with_its_names(world: World, server: Server) -> None:
    job = cut_out(world, server)
    assert job.batch
    job.batch.files.create(number=2, name="never-sent.png", folder="clients")
    job.batch.name, job.batch.file_names = "Client", {"list": ["secret"]}
    job.batch.save()
    assert erase.erase_batch(job.batch, world.alice) == 1
    job.batch.refresh_from_db()
    assert job.batch.erased_at
    assert "Client" not in job.batch.name
    rows = json.dumps([list(job.batch.files.values_list("name", "folder")), job.batch.file_names])
    assert "secret" not in rows
    assert "never" not in rows
    assert list(job.batch.files.values_list("problem", flat=True)) == ["", "removed"]


def test_a_batch_keeps_its_name_as_long_as_a_picture_stays(world: World, server: Server) -> None:
    job = cut_out(world, server)
    world.job(batch=job.batch_id)
    assert job.batch
    name = job.batch.name
    assert erase.erase_batch(job.batch, world.alice) == 1
    job.batch.refresh_from_db()
    assert (job.batch.name, job.batch.erased_at) == (name, None)


def test_files_that_a_reuse_shows_stay(world: World, alice: Client, server: Server) -> None:
    job = cut_out(world, server)
    again = reused(world)
    erased(world, job)
    before = stored()
    assert purge_now() == 0
    assert stored() == before
    assert verify().findings == []
    assert b"".join(alice.get(reverse("download", args=["aurora", again.pk])))
    third = reused(world)  # of the reuse, though the first is erased
    assert third.reused_from == job
    erased(world, again, third)
    assert purge_now() == 3
    assert stored() == []
    assert verify().findings == []
