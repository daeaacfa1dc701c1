"""Pausing, resuming, cancelling and retrying a batch, and the pictures that wait for credits."""

from collections.abc import Iterator
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.ledger import allowances, periods
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Allowance, AllowanceUse, Membership, Role, Transfer, User
from conftest import World, small_png
from jobs.audit.reconcile import books
from jobs.audit.verify import run as verify
from jobs.batches import control, groups, plan, sources
from jobs.batches.create import open_batch
from jobs.batches.progress import progress
from jobs.batches.register import Listing, register
from jobs.calls import attempts, outcomes
from jobs.intake.submit import submit_again
from jobs.models import Attempt, Batch, Job
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

PICTURE = small_png()
BATCH = UUID("11111111-0000-4000-8000-000000000000")


@pytest.fixture(autouse=True)
def _verified(db: None) -> Iterator[None]:
    """Whatever a test did, the books and files agree afterwards."""
    yield
    assert verify().findings == []


def leave(world: World, credits_: int) -> None:
    """Leave the team this many available credits."""
    change = credits_ * CREDIT - ledger.balances(world.team).available
    if change:
        ledger.adjust(world.team, change, key=str(uuid4()), actor=world.alice, memo="for the test")


def add(world: World, count: int = 1, user: User | None = None, batch: UUID = BATCH) -> list[Job]:
    """Upload this many pictures of a credit each into a batch."""
    return [
        world.job(PICTURE, user, keep=True, batch=batch, request_id=uuid4(), number=number)
        for number in range(1, count + 1)
    ]


def waiting_group() -> groups.Group:
    """What the batch's page says of its pictures that wait for credits."""
    return next(group for group in groups.groups(progress(the_batch())) if group.key == "kept")


def states(jobs: list[Job]) -> list[str]:
    by_key = dict(Job.objects.values_list("pk", "state"))
    return [by_key[job.pk] for job in jobs]


def the_batch(batch: UUID = BATCH) -> Batch:
    return Batch.objects.get(pk=batch)


def claimed() -> Job:
    job = claims.claim("test")
    assert job
    return job


# Kept pictures


def test_what_does_not_fit_is_kept_without_a_hold(world: World) -> None:
    leave(world, 2)
    jobs = add(world, 4)
    assert states(jobs) == ["queued", "queued", "kept", "kept"]
    assert ledger.balances(world.team).held == 2 * CREDIT
    assert Attempt.objects.count() == 2
    assert books(Job.objects.with_books().get(pk=jobs[2].pk)).held == 0


def test_a_small_picture_does_not_overtake_those_that_wait(world: World) -> None:
    leave(world, 1)
    add(world, 2)
    leave(world, 1)
    assert states(add(world)) == ["kept"]


@pytest.mark.parametrize("left", [True, False], ids=["left the team", "only looks by now"])
def test_what_someone_kept_who_spends_no_more_stays_kept(world: World, left: bool) -> None:
    leave(world, 0)
    jobs = add(world, 1, world.bob)
    bob = Membership.objects.filter(user=world.bob, team=world.team)
    _ = bob.delete() if left else bob.update(role=Role.VIEWER)
    leave(world, 5)
    assert (control.start_kept(), states(jobs)) == (0, ["kept"])


def test_after_a_grant_kept_pictures_start_in_order(world: World) -> None:
    leave(world, 0)
    jobs = add(world, 4)
    assert control.start_kept() == 0
    ledger.grant(world.team, 3 * CREDIT, key="grant")
    assert control.start_kept() == 3
    assert states(jobs) == ["queued", "queued", "queued", "kept"]
    holds = Transfer.objects.filter(kind=Transfer.Kind.HOLD)
    assert [hold.actor for hold in holds.select_related("actor")] == [world.alice] * 3
    assert ledger.balances(world.team).held == 3 * CREDIT


def test_after_a_release_the_next_one_starts(world: World) -> None:
    leave(world, 1)
    jobs = add(world, 3)
    job = claimed()
    with claims.owned(job):
        attempts.release(job.last_attempt)
        claims.fail(job, Job.Reason.REFUSED)
    assert control.start_kept() == 1
    assert states(jobs) == ["failed", "queued", "kept"]


def test_after_an_allowance_renews_the_next_one_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(bob, limit=CREDIT, period=Allowance.Period.DAY)
    jobs = add(world, 2, world.bob)
    assert (states(jobs), control.start_kept()) == (["queued", "kept"], 0)
    tomorrow = periods.around(Allowance.Period.DAY, timezone.now())[1]
    monkeypatch.setattr("accounts.ledger.operations.timezone.now", lambda: tomorrow)
    assert control.start_kept() == 1
    monkeypatch.undo()
    assert states(jobs) == ["queued", "queued"]
    assert AllowanceUse.objects.count() == 2


def test_a_person_without_credits_left_does_not_hold_up_others(world: World) -> None:
    """Bob's allowance ends his turn at his first picture; alice has none, and goes on."""
    leave(world, 0)
    bobs, alices = add(world, 2, world.bob), add(world, 2, batch=uuid4())
    bob = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(bob, limit=CREDIT // 2, period=Allowance.Period.DAY)
    ledger.grant(world.team, 10 * CREDIT, key="grant")
    assert control.start_kept() == 2
    assert (states(bobs), states(alices)) == (["kept"] * 2, ["queued"] * 2)


def test_a_small_one_behind_a_large_one_waits(world: World) -> None:
    leave(world, 0)
    large = world.job(small_png(2000, 1000), keep=True, batch=BATCH, request_id=uuid4())
    small = add(world)[0]
    leave(world, 1)
    assert control.start_kept() == 0
    assert states([large, small]) == ["kept", "kept"]


def test_a_team_that_owes_starts_nothing(world: World, server: Server) -> None:
    leave(world, 1)
    jobs = add(world, 2)
    server.script.append(wire.answer(charged="3"))
    wire.run(server)
    assert ledger.balances(world.team).owed == 2 * CREDIT
    assert (control.start_kept(), states(jobs)) == (0, ["done", "kept"])
    ledger.grant(world.team, 4 * CREDIT, key="grant")  # the next one holds 2: so much was learned
    assert (control.start_kept(), states(jobs)) == (1, ["done", "queued"])


def test_starting_stops_when_the_process_should_end(world: World) -> None:
    leave(world, 0)
    add(world, 3)
    leave(world, 3)
    asked = iter([False, True])
    assert control.start_kept(lambda: next(asked)) == 1


def test_a_kept_picture_is_cut_out_like_any_other(world: World, server: Server) -> None:
    leave(world, 0)
    add(world)
    leave(world, 1)
    control.start_kept()
    job, _ = wire.run(server)
    assert (job.state, ledger.balances(world.team)) == ("done", Balances(spent=CREDIT))


def test_the_same_kept_request_is_one_job(world: World) -> None:
    leave(world, 0)
    request_id = uuid4()
    first = world.job(PICTURE, keep=True, batch=BATCH, request_id=request_id)
    assert world.job(PICTURE, keep=True, batch=BATCH, request_id=request_id) == first
    assert Job.objects.count() == 1


def test_what_costs_more_than_a_whole_allowance_holds_up_nothing(world: World) -> None:
    """Neither those that wait behind it nor a new one; it starts itself once the allowance is raised."""
    leave(world, 10)
    bob = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(bob, limit=3 * CREDIT, period=Allowance.Period.DAY)
    large = world.job(small_png(2000, 2000), world.bob, keep=True, batch=BATCH, request_id=uuid4(), number=9)
    assert (large.state, states(add(world, 1, world.bob))) == ("kept", ["queued"])
    later = add(world, 1, world.bob, batch=uuid4())
    assert states([large, *later]) == ["kept", "queued"]
    assert plan.means_of(world.team, world.bob).waiting == 0
    assert "1 of them may cost more than the whole allowance" in waiting_group().text
    Job.objects.filter(pk=large.pk).update(estimated_microcredits=3 * CREDIT)  # the price was learned since
    leave(world, 10)
    last = add(world, 2, world.bob, batch=uuid4())
    assert states(last) == ["kept", "kept"]
    tomorrow = allowances.spender_standings(world.team, world.bob)[0].renews_at
    with mock.patch("accounts.ledger.operations.timezone.now", return_value=tomorrow):
        assert control.start_kept() == 2
    assert states([large, *last]) == ["kept", "queued", "queued"]
    allowances.grant(bob, limit=10 * CREDIT, period=Allowance.Period.MONTH)
    assert (control.start_kept(), states([large])) == (1, ["queued"])


def test_who_retries_pays(world: World) -> None:
    """So nobody uses up another's allowance, and the pictures of who has left can be tried again."""
    job = fail(world)
    Membership.objects.filter(user=world.alice, team=world.team).delete()
    assert control.retry(the_batch(), world.bob) == 1
    held = Transfer.objects.filter(kind=Transfer.Kind.HOLD).order_by("-pk")
    assert (states([job]), held[0].actor) == (["queued"], world.bob)
    job = claimed()
    with claims.owned(job):  # and pays for what follows by itself, too
        attempts.release(job.last_attempt)
        outcomes.retry(job, Job.Reason.SERVER_FAILED, 1)
    assert (held.count(), held[0].actor) == (3, world.bob)


def test_an_undone_cancellation_moves_no_cost(world: World) -> None:
    jobs = add(world, 2, world.alice)
    control.cancel(the_batch())
    assert (control.retry(the_batch(), world.bob, state="cancelled"), states(jobs)) == (2, ["queued"] * 2)
    assert {hold.actor for hold in Transfer.objects.filter(kind=Transfer.Kind.HOLD)} == {world.alice}


def test_what_turns_out_to_cost_more_than_an_allowance_lets_others_go_first(world: World) -> None:
    """Prices have risen since it was kept."""
    bob = Membership.objects.get(team=world.team, user=world.bob)
    leave(world, 0)
    (large,) = add(world, 1, world.bob)
    leave(world, 10)
    allowances.grant(bob, limit=CREDIT // 2, period=Allowance.Period.DAY)
    Job.objects.filter(pk=large.pk).update(estimated_microcredits=CREDIT // 4)
    assert control.start_kept() == 0
    assert "1 of them may cost more than the whole allowance" in waiting_group().text
    assert plan.means_of(world.team, world.bob).waiting == 0


def test_what_nobody_pays_for_any_more_can_be_taken_over(world: World, client: Client) -> None:
    leave(world, 0)
    jobs = add(world, 2)
    leave(world, 5)
    Membership.objects.filter(user=world.alice, team=world.team).update(role=Role.VIEWER)
    group = waiting_group()
    assert "2 of them were to be paid by a person who may not spend any more" in group.text
    assert group.action
    client.force_login(world.bob)
    client.post(reverse("batch_control", args=["aurora", BATCH]), group.action.fields)
    assert states(jobs) == ["queued", "queued"]
    holds = Transfer.objects.filter(kind=Transfer.Kind.HOLD)
    assert {hold.actor for hold in holds} == {world.bob}
    assert control.take_over(the_batch(), world.bob) == 0


def test_a_start_leaves_what_another_took_over_meanwhile_to_that_person(world: World) -> None:
    leave(world, 0)
    (job,) = add(world)
    stale = Job.objects.get(pk=job.pk)
    Job.objects.filter(pk=job.pk).update(payer=world.bob)
    with claims.writing():
        assert not claims.begin(stale)


# Pause and resume


def test_a_paused_batch_is_not_claimed_and_keeps_its_holds(world: World) -> None:
    jobs = add(world, 2)
    control.pause(the_batch())
    assert (states(jobs), claims.claim("test")) == (["paused"] * 2, None)
    assert ledger.balances(world.team).held == 2 * CREDIT


def test_another_batch_goes_on_meanwhile(world: World) -> None:
    add(world)
    other = add(world, batch=uuid4())[0]
    control.pause(the_batch())
    assert claims.claim("test") == other


def test_uploads_into_a_paused_batch_are_kept(world: World) -> None:
    add(world)
    control.pause(the_batch())
    late = add(world, 2)
    assert (states(late), control.start_kept()) == (["kept"] * 2, 0)
    control.resume(the_batch())
    assert (control.start_kept(), states(late)) == (2, ["queued"] * 2)


def test_a_paused_batchs_kept_pictures_hold_up_no_other_batch(world: World) -> None:
    add(world)
    control.pause(the_batch())
    add(world)
    assert states(add(world, batch=uuid4())) == ["queued"]


def test_resume_lets_them_go(world: World) -> None:
    jobs = add(world, 2)
    control.pause(the_batch())
    control.resume(the_batch())
    assert (states(jobs), the_batch().paused_at, claimed()) == (["queued"] * 2, None, jobs[0])


def test_one_being_processed_is_finished(world: World, server: Server) -> None:
    jobs = add(world, 2)
    job = claimed()
    control.pause(the_batch())
    process(job, server.upstream, Backoff())
    assert states(jobs) == ["done", "paused"]


def test_one_that_comes_back_into_a_paused_batch_is_paused(world: World) -> None:
    """The upstream asked it to wait; after the resume it waits until then."""
    add(world)
    job = claimed()
    control.pause(the_batch())
    with claims.owned(job):
        claims.postpone(job, 60, Job.Reason.SLOW_DOWN)
    assert states([job]) == ["paused"]
    control.resume(the_batch())
    job.refresh_from_db()
    assert (job.state, job.run_after > timezone.now()) == ("queued", True)


def test_a_failed_one_that_is_retried_in_a_paused_batch_is_paused(world: World) -> None:
    job = fail(world)
    control.pause(the_batch())
    submit_again(job, world.bob)
    assert states([job]) == ["paused"]


def fail(world: World) -> Job:
    add(world)
    job = claimed()
    with claims.owned(job):
        attempts.release(job.last_attempt)
        claims.fail(job, Job.Reason.REFUSED)
    return job


def answered(world: World) -> Job:
    """A job whose call was made and whose paid result waits for room on the disk."""
    add(world)
    job = claimed()
    attempt = job.last_attempt
    attempts.send(attempt)
    columns = {
        "status": 200,
        "charged_header": "1",
        "charged_microcredits": CREDIT,
        "answered_at": timezone.now(),
    }
    Attempt.objects.filter(pk=attempt.pk).update(state=Attempt.State.ANSWERED, **columns)
    with claims.owned(job):
        claims.postpone(job, 0, Job.Reason.RESULT_WAITS)
    return job


@pytest.mark.parametrize("act", [control.pause, control.cancel])
def test_a_paid_result_that_waits_for_room_is_left_alone(world: World, act: Any) -> None:
    job = answered(world)
    act(the_batch())
    assert states([job]) == ["queued"]


def test_a_paid_result_still_goes_on_in_a_paused_batch(world: World) -> None:
    add(world)
    job = claimed()
    control.pause(the_batch())
    with claims.owned(job):
        claims.postpone(job, 0, Job.Reason.RESULT_WAITS)
    assert states([job]) == ["queued"]


# Files that never come


def test_what_is_missing_is_not_waited_for(world: World) -> None:
    batch = open_batch(world.team, world.bob, BATCH)
    here, gone = Listing("here.png", uuid4()), Listing("gone.png", uuid4())
    register(batch, [here, gone])
    sources.add(batch, ["https://pictures.example/1.jpg"])
    world.job(PICTURE, keep=True, batch=BATCH, request_id=here.request_id)
    before = ledger.balances(world.team)
    assert (control.forget_missing(batch), control.forget_missing(batch)) == (1, 0)
    assert [file.name for file in batch.files.filter(problem="removed")] == ["gone.png"]
    assert [file.url for file in batch.files.missing()] == ["https://pictures.example/1.jpg"]
    assert ledger.balances(world.team) == before


# Cancel and retry


def test_cancel_gives_the_holds_back(world: World) -> None:
    leave(world, 2)
    queued_and_kept = add(world, 3)
    running = claimed()
    assert len(control.cancel(the_batch())) == 2
    assert states(queued_and_kept) == ["running", "cancelled", "cancelled"]
    assert states([running]) == ["running"]
    assert ledger.balances(world.team) == Balances(available=CREDIT, held=CREDIT)
    release = Transfer.objects.get(kind=Transfer.Kind.RELEASE)
    assert (release.amount_microcredits, release.memo) == (CREDIT, "cancelled")


def test_cancel_takes_some_alone(world: World) -> None:
    jobs = add(world, 3)
    others = add(world, 1, batch=uuid4())
    assert control.cancel(the_batch(), [jobs[1].pk, others[0].pk]) == [jobs[1].pk]
    assert states([*jobs, *others]) == ["queued", "cancelled", "queued", "queued"]


def test_more_than_one_transaction_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CANCELLED_AT_ONCE", 2)
    add(world, 5)
    assert len(control.cancel(the_batch())) == 5
    assert ledger.balances(world.team).held == 0


def test_cancelled_ones_are_not_claimed(world: World) -> None:
    add(world)
    control.cancel(the_batch())
    assert claims.claim("test") is None


def test_a_paused_batch_can_be_cancelled(world: World) -> None:
    jobs = add(world, 2)
    control.pause(the_batch())
    assert len(control.cancel(the_batch())) == 2
    assert states(jobs) == ["cancelled"] * 2


def test_undo_after_a_cancel(world: World, server: Server) -> None:
    jobs = add(world, 2)
    control.cancel(the_batch())
    assert control.retry(the_batch(), world.bob, state="cancelled") == 2
    assert states(jobs) == ["queued"] * 2
    assert ledger.balances(world.team).held == 2 * CREDIT
    wire.run(server)
    assert states(jobs) == ["done", "queued"]
    assert [attempt.state for attempt in jobs[0].attempts.order_by("number")] == ["released", "booked"]


def test_undo_without_credits_waits_for_them(world: World) -> None:
    jobs = add(world, 2)
    control.cancel(the_batch())
    leave(world, 1)
    assert control.retry(the_batch(), world.bob) == 2
    assert states(jobs) == ["queued", "kept"]


def test_retry_leaves_the_cancelled_alone_if_asked_for_the_failed(world: World) -> None:
    failed, other = fail(world), add(world)[0]
    control.cancel(the_batch())
    assert control.retry(the_batch(), world.bob, state="failed") == 1
    assert states([failed, other]) == ["queued", "cancelled"]


def test_retry_touches_nothing_that_goes_on_or_is_done(world: World, server: Server) -> None:
    jobs = add(world, 3)
    wire.run(server)
    claimed()
    assert (control.retry(the_batch(), world.bob), states(jobs)) == (0, ["done", "running", "queued"])


def test_retry_in_a_paused_batch_waits_for_the_resume(world: World) -> None:
    job = fail(world)
    control.pause(the_batch())
    assert (control.retry(the_batch(), world.bob), states([job])) == (1, ["kept"])


def test_retry_lets_the_workers_do_what_takes_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = add(world, 3)
    control.cancel(the_batch())
    monkeypatch.setattr(control, "START_AT_ONCE_SECONDS", -1)
    assert (control.retry(the_batch(), world.bob), states(jobs)) == (3, ["kept"] * 3)
    assert (control.start_kept(), states(jobs)) == (3, ["queued"] * 3)


# All at once, as after a restore ----------------------------------------------------------------------


def test_what_waits_for_credits_is_paused_too(world: World) -> None:
    """It would start by itself once there are credits, and may have been paid for before a restore."""
    leave(world, 0)
    jobs = add(world, 2)
    assert control.pause_all() == 1
    leave(world, 10)
    assert control.start_kept() == 0
    control.resume(Batch.objects.get())
    assert control.start_kept() == 2
    assert states(jobs) == ["queued"] * 2


def test_what_a_dead_worker_left_before_its_call_is_paused_too(world: World) -> None:
    jobs = add(world)
    assert claims.claim("dead")
    assert control.pause_all() == 0
    Job.objects.update(lease_until=timezone.now())
    assert control.pause_all() == 1
    assert (states(jobs), claims.claim("w:1")) == (["paused"], None)
    control.resume(Batch.objects.get())
    assert claims.claim("w:1")


def test_a_call_that_a_dead_worker_made_is_not_paused(world: World) -> None:
    add(world)
    job = claims.claim("dead")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)
    Job.objects.update(lease_until=timezone.now())
    assert control.pause_all() == 0


def test_what_is_still_to_be_fetched_is_paused_too(world: World) -> None:
    batch = open_batch(world.team, world.bob, BATCH)
    sources.add(batch, ["https://pictures.example/1.jpg"])
    assert control.pause_all() == 1
    assert (states(add(world)), control.start_kept()) == (["kept"], 0)
