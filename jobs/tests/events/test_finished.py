"""A batch is found finished when nothing is left to be done, once each time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from conftest import World, small_png
from jobs.batches import control
from jobs.batches.create import open_batch
from jobs.batches.register import Listing, register
from jobs.events import finished, subscriptions
from jobs.events.finished import finish_due
from jobs.models import Batch, Event, EventKind, Job
from jobs.queue import claims

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "_looked_at", {})


def picture(world: World, batch: Batch, state: str = "done") -> Job:
    job = world.job(small_png(9, 9), keep=True, batch=batch.pk)
    changes: dict[str, Any] = {"result": "x"} if state == "done" else {}
    Job.objects.filter(pk=job.pk).update(state=state, **changes)
    return job


def batch_of(world: World) -> Batch:
    subscriptions.add(world.team, world.alice, "http://receiver.example/", [EventKind.BATCH_FINISHED])
    return open_batch(world.team, world.alice, uuid4())


def events() -> list[Any]:
    return [event.data["pictures"] for event in Event.objects.order_by("at")]


def test_a_batch_whose_pictures_have_all_ended_is_finished_once(world: World) -> None:
    batch = batch_of(world)
    for state in ("done", "done", "failed", "in_doubt", "cancelled"):
        picture(world, batch, state)
    assert (finish_due(), finish_due()) == (1, 0)
    assert events() == [{"done": 2, "failed": 1, "in_doubt": 1, "cancelled": 1}]
    batch.refresh_from_db()
    assert batch.finished_at


@pytest.mark.parametrize("state", ["queued", "kept", "paused"])
def test_a_batch_with_work_left_is_not(world: World, state: str) -> None:
    batch = batch_of(world)
    picture(world, batch)
    picture(world, batch, state)
    assert finish_due() == 0


def test_a_batch_that_is_empty_or_waits_for_files_is_not(world: World) -> None:
    batch = batch_of(world)
    assert finish_due() == 0
    picture(world, batch)
    register(batch, [Listing("later.png", uuid4())])
    for rows in (Job.objects, Batch.objects):
        rows.update(updated_at=batch.created_at - 2 * finished.STIRS_FOR)
    assert finish_due() == 0
    control.forget_missing(batch)
    assert finish_due() == 1
    assert events() == [{"done": 1}]


def test_a_batch_that_gets_more_finishes_again(world: World) -> None:
    batch = batch_of(world)
    first = picture(world, batch, "failed")
    finish_due()
    second = picture(world, batch, "queued")
    batch.refresh_from_db()
    assert batch.finished_at is None
    assert finish_due() == 0
    Job.objects.filter(pk=second.pk).update(state="cancelled")
    assert finish_due() == 1

    control.retry(batch, world.bob, [first.pk])
    batch.refresh_from_db()
    assert batch.finished_at is None
    Job.objects.filter(batch=batch).update(state="cancelled")
    assert finish_due() == 1
    assert len(events()) == 3


def test_two_processes_finish_it_once(committed_world: World) -> None:
    batch = batch_of(committed_world)
    picture(committed_world, batch)

    def look(_: int) -> int:
        finished._looked_at.clear()
        try:
            return finish_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(look, range(4))) == 1
    assert len(events()) == 1


def test_a_picture_that_comes_while_it_is_looked_at_keeps_it_open(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look sees nothing left, and before it locks the batch, one more picture comes."""
    batch = batch_of(committed_world)
    picture(committed_world, batch)
    look = finished._finish

    def late(pk: Any) -> bool:
        picture(committed_world, batch, "queued")
        return look(pk)

    monkeypatch.setattr(finished, "_finish", late)
    assert finish_due() == 0
    batch.refresh_from_db()
    assert batch.finished_at is None


def test_a_batch_without_changes_is_left_alone_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world)
    job = picture(world, batch, "queued")
    for rows in (Job.objects, Batch.objects):
        rows.update(updated_at=job.updated_at - 2 * finished.STIRS_FOR)
    finish_due()
    looks: list[Any] = []
    monkeypatch.setattr(finished, "_has_ended", looks.append)
    finish_due()
    assert looks == []
    Job.objects.filter(pk=job.pk).update(state="failed", updated_at=job.updated_at)
    finish_due()
    assert looks == [batch.pk]


def test_retrying_a_picture_locks_its_batch_first(world: World) -> None:
    batch = batch_of(world)
    job = picture(world, batch, "failed")
    finish_due()
    with claims.writing():
        assert claims.keep_again(Job.objects.filter(pk=job.pk), world.bob) == 1
    batch.refresh_from_db()
    assert batch.finished_at is None
