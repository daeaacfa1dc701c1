"""The log of webhooks names no picture and no batch that was erased, and a replay sends their numbers."""

import json
from collections.abc import Sequence

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conftest import World
from jobs.calls import attempts
from jobs.events import erased_names, finished, outbox, payloads, subscriptions
from jobs.events.webhooks import send_due
from jobs.intake.submit import submit_again
from jobs.models import Event, EventKind, Job
from jobs.queue import claims
from jobs.queue.claims import Reason
from jobs.retention import erase
from jobs.tests.events.receiver import Receiver
from jobs.tests.retention.erased import cut_out, erased
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases


def names(kind: str = EventKind.JOB_FINISHED) -> list[str]:
    return [event.data["name"] for event in Event.objects.filter(kind=kind).order_by("at")]


def test_a_replay_sends_the_number_in_place_of_the_name(
    world: World, server: Server, receiver: Receiver
) -> None:
    webhook = receiver.hook(world.team, world.alice, events=[EventKind.JOB_FINISHED])
    job = cut_out(world, server)
    send_due()
    assert erased(world, job) == 1
    assert subscriptions.replay(webhook.deliveries.get())
    send_due()
    first, second = (received.payload for received in receiver.received)
    assert first["data"]["name"] == "secret.png"
    assert second == first | {"data": first["data"] | {"name": str(job.pk)}}


def test_each_ending_of_a_picture_forgets_its_name_and_others_keep_theirs(
    world: World, receiver: Receiver
) -> None:
    receiver.hook(world.team, world.alice)
    job = world.job(name="secret.png")
    for _ in range(2):
        with transaction.atomic():
            held = claims.claim("test")
            assert held
            attempts.release(held.last_attempt)
            claims.fail(held, Reason.REFUSED)
        submit_again(job, world.alice)
    outbox.job_finished(world.job(name="other.png"), "cancelled", "")
    job.refresh_from_db()
    Job.objects.filter(pk=job.pk).update(state="failed")
    erase._erase([job])
    assert names() == [str(job.pk), str(job.pk), "other.png"]


def test_a_batch_that_finished_twice_is_a_number_in_both_events(
    world: World, server: Server, receiver: Receiver
) -> None:
    receiver.hook(world.team, world.alice)
    job = cut_out(world, server)
    other = cut_out(world, server, source_sha256="0" * 64)
    assert job.batch
    assert other.batch
    for batch in (job.batch, other.batch):
        batch.name = f"Client of {batch.pk}"
        batch.save()
    finished.finish_due()
    claims.reopen(job.batch.pk)
    finished._looked_at.clear()
    finished.finish_due()
    erase.erase_batch(job.batch, world.alice)
    number, kept = str(job.batch.pk)[:8], f"Client of {other.batch.pk}"
    assert sorted(names(EventKind.BATCH_FINISHED)) == sorted([number, number, kept])


def test_a_sender_that_read_the_name_before_does_not_bring_it_back(
    world: World, server: Server, receiver: Receiver
) -> None:
    receiver.hook(world.team, world.alice, events=[EventKind.JOB_FINISHED])
    job = cut_out(world, server)
    event = Event.objects.select_related("team").get()
    erased(world, job)
    assert json.loads(payloads.body(event))["data"]["name"] == str(job.pk)
    assert names() == [str(job.pk)]


def looked_up(jobs: Sequence[Job]) -> list[str]:
    """Return the statements that read events by their subjects, and forget the pictures' names."""
    with CaptureQueriesContext(connection) as queries:
        erased_names.forget_pictures(jobs)
    return [query["sql"] for query in queries.captured_queries if '"subject" IN' in query["sql"]]


def test_a_team_without_events_pays_one_statement_and_no_event_is_looked_for_twice(
    world: World, server: Server, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = cut_out(world, server)
    assert looked_up([job]) == []
    receiver.hook(world.team, world.alice)
    outbox.job_finished(job, job.state, "")
    monkeypatch.setattr(erased_names, "AT_ONCE", 3)
    statements = looked_up([job])
    assert len(statements) == 3, "claims 0 and 1, in four states each"
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {statements[0]}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "(team_id=? AND kind=? AND subject=?)" in plan
    job.updated_at -= erased_names.PURGED_AFTER
    assert looked_up([job]) == [], "none is left of so long ago"
