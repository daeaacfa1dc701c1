"""Each end of a job is an event, in its transaction: once, for each webhook that subscribed."""

from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World, small_png
from jobs.audit import review
from jobs.batches import control, reuse
from jobs.batches.create import open_batch
from jobs.batches.register import Listing, register
from jobs.calls import attempts
from jobs.events import outbox, subscriptions
from jobs.intake.submit import submit_again
from jobs.models import Attempt, Batch, Delivery, Event, EventKind, Job, Webhook
from jobs.queue import claims
from jobs.queue.claims import Reason
from jobs.tests import upstream as wire
from jobs.tests.events.receiver import EVERYTHING
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

URL = "http://receiver.example/"


def hook(world: World, events: list[str] = EVERYTHING) -> Webhook:
    return subscriptions.add(world.team, world.alice, URL, events)[0]


def told(kind: str = EventKind.JOB_FINISHED) -> list[tuple[str, str]]:
    """Return the subjects of the events of a kind, with the state that they state."""
    rows = Event.objects.filter(kind=kind).order_by("at")
    return [(event.subject, event.data.get("state", event.data.get("why", ""))) for event in rows]


def claimed() -> Job:
    job = claims.claim("test")
    assert job
    return job


def test_a_done_job_is_one_event_and_a_delivery_for_each_webhook(world: World, server: Server) -> None:
    hooks = {hook(world).pk, hook(world).pk}
    job = world.job()
    run(server)
    assert told() == [(f"job:{job.pk}:1:done", "done")]
    assert set(Delivery.objects.values_list("webhook", flat=True)) == hooks


def test_a_webhook_gets_what_it_subscribed_to_while_it_is_on(world: World, server: Server) -> None:
    hook(world, [EventKind.BATCH_FINISHED])
    subscriptions.switch_off(hook(world))
    others = subscriptions.add(world.charlie.memberships.get().team, world.charlie, URL, EVERYTHING)[0]
    world.job()
    run(server)
    assert not Event.objects.exists()
    assert not others.deliveries.exists()


def test_a_team_without_webhooks_pays_no_statement(world: World) -> None:
    def statements() -> int:
        world.job()
        job = claimed()
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            claims.fail(job, Reason.REFUSED)
        return sum("jobs_" in query["sql"] for query in queries.captured_queries)

    assert statements() == 1
    hook(world)
    assert statements() > 1  # the control


def test_what_is_rolled_back_is_no_event(world: World) -> None:
    hook(world)
    world.job()
    job = claimed()
    with transaction.atomic():
        claims.fail(job, Reason.REFUSED)
        assert Event.objects.count() == Delivery.objects.count() == 1
        transaction.set_rollback(True)
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


def test_each_end_of_a_job_is_an_event_of_its_own(world: World) -> None:
    hook(world)
    job = world.job()
    for _ in range(2):
        with transaction.atomic():
            held = claimed()
            attempts.release(held.last_attempt)
            claims.fail(held, Reason.REFUSED)
        submit_again(job, world.alice)
    control._cancel([job.pk])
    ends = [(f"job:{job.pk}:1:failed", "failed"), (f"job:{job.pk}:2:failed", "failed")]
    assert told() == [*ends, (f"job:{job.pk}:2:cancelled", "cancelled")]


def test_an_end_that_was_lost_to_another_worker_is_no_event(world: World) -> None:
    hook(world)
    world.job()
    job = claimed()
    job.fence -= 1
    with pytest.raises(claims.LostLeaseError):
        claims.fail(job, Reason.REFUSED)
    assert told() == []


def test_the_same_end_twice_is_one_event(world: World) -> None:
    webhook = hook(world)
    job = world.job()
    for _ in range(2):
        outbox.job_finished(job, "done", "")
    assert (len(told()), webhook.deliveries.count()) == (1, 1)


def test_a_job_put_off_is_no_event(world: World) -> None:
    hook(world)
    world.job()
    claims.postpone(claimed(), 0, Reason.SLOW_DOWN)
    assert told() == []


@pytest.mark.parametrize(("charged", "state"), [(0, "failed"), (CREDIT, "failed")])
def test_a_doubt_and_its_decision_are_two_ends(
    world: World, server: Server, charged: int, state: str
) -> None:
    hook(world)
    job = world.job()
    server.script.append(wire.answer(cut=True, charged=None))
    run(server)
    attempt = Attempt.objects.get()
    assert told(EventKind.REVIEW_NEEDED) == [(f"attempt:{attempt.pk}:no_charge", "no_charge")]
    review.resolve(attempt, charged, world.alice, "looked")
    assert told() == [(f"job:{job.pk}:1:in_doubt", "in_doubt"), (f"job:{job.pk}:1:{state}", state)]


def test_an_overage_needs_a_review(world: World, server: Server) -> None:
    hook(world)
    world.job()
    server.script.append(wire.answer(charged="1.5"))
    run(server)
    assert told(EventKind.REVIEW_NEEDED) == [(f"attempt:{Attempt.objects.get().pk}:overage", "overage")]


def test_a_reused_picture_is_an_event_though_it_was_never_a_call(world: World, server: Server) -> None:
    hook(world)
    first = world.job(small_png(9, 9))
    run(server)
    batch = open_batch(world.team, world.alice, uuid4())
    register(batch, [Listing("again.png", uuid4(), sha256=first.source_sha256)])
    for _ in range(2):
        reuse.use_again(batch, world.alice, list(batch.files.values_list("request_id", flat=True)))
    again = batch.jobs.get()
    assert told()[1:] == [(f"job:{again.pk}:0:done", "done")]


def test_a_webhook_can_be_removed_amid_events(world: World, server: Server) -> None:
    webhook = hook(world)
    world.job()
    run(server)
    subscriptions.remove(webhook)
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()


def test_an_event_knows_its_batch(world: World, server: Server) -> None:
    hook(world)
    job = world.job(keep=True, batch=uuid4())
    run(server)
    assert Event.objects.get(kind=EventKind.JOB_FINISHED).data["batch"] == str(job.batch_id)
    assert Batch.objects.count() == 1
