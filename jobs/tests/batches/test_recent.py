"""The workspace's list of recent batches: which, in which order, and how far each has come."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World, small_png
from jobs.batches import control, recent
from jobs.batches.create import open_batch
from jobs.batches.export import Selection, files_without_job
from jobs.batches.register import Listing, record_problem, register
from jobs.models import Batch, BatchFile, Job
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


def listed(world: World, batch: UUID, *names: str) -> list[BatchFile]:
    """List files that haven't arrived."""
    its_batch = open_batch(world.team, world.bob, batch)
    register(its_batch, [Listing(name=name, request_id=uuid4()) for name in names])
    return list(its_batch.files.order_by("number"))


def test_a_batch_says_how_far_it_has_come(world: World, server: Server) -> None:
    batch = uuid4()
    world.job(batch=batch)
    run(server)
    ledger.adjust(world.team, -98 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    world.job(small_png(1000, 900), batch=batch, keep=True)
    world.job(small_png(1000, 800), batch=batch, keep=True)
    Job.objects.filter(pk=world.job(small_png(9, 9), batch=batch).pk).update(state="failed")
    bad, _missing = listed(world, batch, "bad.jpg", "missing.jpg")
    record_problem(bad, BatchFile.Problem.UNREADABLE, "It can't be read.")

    (row,) = recent.recent(world.team)
    assert (row.pk, row.name, row.author) == (batch, Batch.objects.get().name, "alice@example.org")
    assert (row.done, row.waiting, row.problems, row.total) == (1, 3, 2, 6)
    assert list(row.bars) == [("done", 0, 1), ("waiting", 1, 3), ("problem", 4, 2)]


def test_a_batch_that_was_only_priced_is_not_listed(world: World) -> None:
    listed(world, uuid4(), "a.jpg")
    assert recent.recent(world.team) == []


def test_a_batch_whose_only_file_was_refused_is_listed(world: World) -> None:
    (file,) = listed(world, uuid4(), "a.pdf")
    record_problem(file, BatchFile.Problem.UNREADABLE, "It can't be read.")
    assert [row.problems for row in recent.recent(world.team)] == [1]


def test_what_was_removed_from_a_batch_is_no_problem_of_it(world: World) -> None:
    batch = uuid4()
    bad, _missing = listed(world, batch, "bad.jpg", "missing.jpg")
    record_problem(bad, BatchFile.Problem.UNREADABLE, "It can't be read.")
    world.job(small_png(9, 9), batch=batch)
    assert control.forget_refused(Batch.objects.get()) == 1
    (row,) = recent.recent(world.team)
    assert (row.problems, row.total) == (0, 2)
    assert [line.original for line in files_without_job(Batch.objects.get(), Selection())] == ["missing.jpg"]


def test_the_newest_come_first_and_only_the_teams_own(world: World) -> None:
    now = timezone.now()
    for age in range(recent.SHOWN + 2):
        batch = uuid4()
        world.job(small_png(9, 9), batch=batch)
        Batch.objects.filter(pk=batch).update(name=str(age), created_at=now - timedelta(hours=age))
    assert [row.name for row in recent.recent(world.team)] == [str(age) for age in range(recent.SHOWN)]
    assert recent.recent(world.charlie.teams.get()) == []


def test_every_state_of_a_job_has_its_tone() -> None:
    assert set(recent.TONES) == set(Job.State)
    assert set(recent.TONES.values()) == set(recent.ORDER)


def test_the_workspace_shows_them_to_everybody_in_the_team(world: World, client: Client) -> None:
    job = world.job(batch=uuid4())
    Batch.objects.update(name="<b>Autumn</b>")
    client.force_login(world.vera)
    page = client.get("/t/aurora/").content.decode()
    assert f'href="/t/aurora/batches/{job.batch_id}/"' in page
    assert "&lt;b&gt;Autumn&lt;/b&gt;" in page
    assert "0 of 1 done" in page


def test_many_batches_take_as_many_queries_as_one(world: World, client: Client) -> None:
    client.force_login(world.bob)
    client.get("/t/aurora/")  # which remembers the team in the session
    counts = []
    for more in (1, 4):
        for _ in range(more):
            world.job(small_png(9, 9), batch=uuid4())
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/t/aurora/").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
