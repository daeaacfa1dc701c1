"""Whose turn it is, whose job it is, and that it is nobody else's."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from conftest import World, small_png
from jobs import plain_sql
from jobs.calls import attempts
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency
from jobs.queue.claims import LostLeaseError, Reason
from pixian.client.client import Answer

pytestmark = pytest.mark.both_databases

MINUTE = timedelta(minutes=1)
ANSWER = Answer(httpx.Response(200))


def add(world: World, **changes: Any) -> Job:
    """A small job, with these columns."""
    job = world.job(small_png(9, 9))
    Job.objects.filter(pk=job.pk).update(**changes)
    job.refresh_from_db()
    return job


def claimed(worker: str = "test") -> Job:
    job = claims.claim(worker)
    assert job
    return job


def let_the_lease_run_out(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def row(job: Job) -> dict[str, Any]:
    return dict(Job.objects.filter(pk=job.pk).values().get())


def test_a_claimed_job_is_leased(world: World, settings: Settings) -> None:
    added = add(world)
    job = claimed("host:1:t1")
    assert job == added
    assert (job.state, job.worker, job.fence) == ("running", "host:1:t1", 1)
    assert job.lease_until
    left = job.lease_until - timezone.now()
    assert timedelta(seconds=settings.LEASE_SECONDS - 5) < left <= timedelta(seconds=settings.LEASE_SECONDS)
    assert job.updated_at > added.updated_at


def test_turns_go_by_priority_then_by_time_then_by_number(world: World) -> None:
    now = timezone.now()
    last = add(world, priority=-1, run_after=now - 9 * MINUTE)
    fourth, fifth = (add(world, run_after=now - MINUTE) for _ in range(2))
    third = add(world, run_after=now - 2 * MINUTE)
    first = add(world, priority=2, run_after=now)
    second = add(world, priority=1, run_after=now - 5 * MINUTE)
    order = []
    while job := claims.claim("test"):
        order.append(job)
        claims.fail(job, Reason.REFUSED)
    assert order == [first, second, third, fourth, fifth, last]


def test_an_empty_queue_gives_nothing(world: World) -> None:
    assert (claims.any_claimable(), claims.claim("test")) == (False, None)


def test_what_is_postponed_is_not_due(world: World) -> None:
    add(world, run_after=timezone.now() + MINUTE, priority=9)
    assert (claims.any_claimable(), claims.claim("test")) == (False, None)


@pytest.mark.parametrize("state", ["failed", "in_doubt", "done"])
def test_what_has_ended_is_not_due(world: World, state: str) -> None:
    add(world, state=state, result="x" if state == "done" else "")
    assert (claims.any_claimable(), claims.claim("test")) == (False, None)


def test_a_leased_job_is_not_due(world: World) -> None:
    add(world)
    claimed()
    assert (claims.any_claimable(), claims.claim("other")) == (False, None)


def test_a_lease_that_ran_out_is_claimed_with_a_higher_fence(world: World) -> None:
    add(world)
    stale = claimed("one")
    let_the_lease_run_out(stale)
    assert claims.any_claimable()
    fresh = claimed("other")
    assert (fresh.pk, fresh.worker, fresh.fence) == (stale.pk, "other", stale.fence + 1)


def test_a_heartbeat_renews_the_lease(world: World) -> None:
    add(world)
    job = claimed()
    let_the_lease_run_out(job)
    assert claims.heartbeat(job.pk, job.fence)
    assert not claims.any_claimable()


def test_a_stale_heartbeat_renews_nothing(world: World) -> None:
    add(world)
    stale = claimed()
    let_the_lease_run_out(stale)
    fresh = claimed()
    before = row(fresh)
    assert not claims.heartbeat(stale.pk, stale.fence)
    assert row(fresh) == before
    claims.postpone(fresh, 0, Reason.SLOW_DOWN)
    assert not claims.heartbeat(fresh.pk, fresh.fence)


ENDINGS: dict[str, tuple[Callable[[Job], None], str, str]] = {
    "postpone": (lambda job: claims.postpone(job, 30, Reason.SLOW_DOWN), "queued", "slow_down"),
    "finish": (lambda job: claims.finish(job, name="a/b.png", sha256="0", size=3), "done", ""),
    "fail": (lambda job: claims.fail(job, Reason.REFUSED), "failed", "refused"),
    "doubt": (lambda job: claims.mark_in_doubt(job, Reason.UNANSWERED), "in_doubt", "unanswered"),
}


@pytest.mark.parametrize(("end", "state", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_who_has_the_job_may_end_it_once(
    world: World, end: Callable[[Job], None], state: str, reason: str
) -> None:
    added = add(world)
    job = claimed()
    end(job)
    after = row(job)
    assert (after["state"], after["reason"], after["lease_until"]) == (state, reason, None)
    assert after["updated_at"] > added.updated_at
    with pytest.raises(LostLeaseError):
        end(job)
    assert row(job) == after


@pytest.mark.parametrize("end", [ending[0] for ending in ENDINGS.values()], ids=ENDINGS)
def test_whoever_lost_the_job_changes_nothing(world: World, end: Callable[[Job], None]) -> None:
    add(world)
    stale = claimed()
    let_the_lease_run_out(stale)
    before = row(claimed())
    with pytest.raises(LostLeaseError):
        end(stale)
    assert row(stale) == before


def test_a_postponed_job_waits_as_long(world: World) -> None:
    add(world)
    job = claimed()
    claims.postpone(job, 30, Reason.SLOW_DOWN)
    job.refresh_from_db()
    assert timedelta(seconds=25) < job.run_after - timezone.now() <= timedelta(seconds=30)
    assert not claims.any_claimable()


def test_owned_lets_in_who_has_the_job(world: World) -> None:
    add(world)
    job = claimed()
    with claims.owned(job):
        claims.fail(job, Reason.REFUSED)
    with pytest.raises(LostLeaseError), claims.owned(job):
        raise AssertionError("let in after the end")


def test_owned_refuses_whoever_lost_it(world: World) -> None:
    add(world)
    stale = claimed()
    let_the_lease_run_out(stale)
    claimed()
    with pytest.raises(LostLeaseError), claims.owned(stale):
        raise AssertionError("let in with a stale fence")


def test_what_breaks_off_inside_owned_is_undone(world: World) -> None:
    add(world)
    job = claimed()
    before = row(job)

    def fail_and_break() -> None:
        with claims.owned(job):
            claims.fail(job, Reason.REFUSED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_and_break()
    assert row(job) == before


def test_only_a_failed_job_is_queued_again(world: World) -> None:
    add(world)
    job = claimed()
    assert not claims.requeue(job, world.bob)
    claims.fail(job, Reason.REFUSED)
    assert claims.requeue(job, world.bob)
    assert not claims.requeue(job, world.bob)
    again = claimed()
    assert (again.pk, again.fence, again.reason) == (job.pk, job.fence + 1, "")


def claims_at_once(threads: int, claim: Callable[[str], Job | None] = claims.claim) -> list[tuple[int, int]]:
    """All that so many threads claim until there is nothing left, as (job, fence)."""
    start = threading.Barrier(threads)

    def work(number: int) -> list[tuple[int, int]]:
        mine = []
        try:
            start.wait()
            while job := claim(f"t{number}"):
                mine.append((job.pk, job.fence))
        finally:
            connection.close()
        return mine

    with ThreadPoolExecutor(threads) as pool:
        return [pair for mine in pool.map(work, range(threads)) for pair in mine]


@pytest.mark.parametrize("threads", [2, 8])
def test_no_two_threads_claim_the_same_job(
    committed_world: World, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "allowed", lambda *_: 100)
    jobs = {add(committed_world).pk for _ in range(30)}
    came = claims_at_once(threads)
    assert sorted(came) == sorted((pk, 1) for pk in jobs)


def test_a_look_followed_by_a_write_gives_a_job_to_two(committed_world: World) -> None:
    """The control: without the lock, both have looked before either writes."""
    add(committed_world)
    both_have_looked = threading.Barrier(2)

    def look_then_write(worker: str) -> Job | None:
        job = Job.objects.claimable(timezone.now()).first()
        if job:
            both_have_looked.wait(timeout=20)
            leased = {"state": "running", "lease_until": timezone.now() + MINUTE, "worker": worker}
            Job.objects.filter(pk=job.pk).update(fence=F("fence") + 1, **leased)
        return job

    came = claims_at_once(2, look_then_write)
    assert len(came) == 2
    assert len({pk for pk, _ in came}) == 1


# A step in a statement of its own looks at the fence there -----------------------------------------------

needs_row_locks = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite lets in one writer at a time, with or without this lock"
)


def send_amid_another_claim(world: World) -> Future[None]:
    """A stale worker sends while another one's claim isn't committed yet."""
    add(world)
    attempt = claimed("stale").last_attempt
    let_the_lease_run_out(attempt.job)

    def send() -> None:
        try:
            with claims.writing():
                attempts.send(attempt)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            fresh = claimed("fresh")
            sending = pool.submit(send)
            time.sleep(0.5)
        assert fresh.last_attempt.state == "prepared" or sending.done()
    return sending


@needs_row_locks
def test_a_send_waits_for_a_claim_under_way_and_loses(committed_world: World) -> None:
    sending = send_amid_another_claim(committed_world)
    assert isinstance(sending.exception(), LostLeaseError)
    assert Attempt.objects.get().state == "prepared"


@needs_row_locks
def test_without_the_lock_it_sends_what_another_worker_has(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(plain_sql, "locking", lambda select, **_: select)
    sending = send_amid_another_claim(committed_world)
    assert sending.exception() is None
    assert (Attempt.objects.get().state, Job.objects.get().worker) == ("sent", "fresh")


@pytest.mark.parametrize("step", ["send", "answer"])
def test_a_stale_worker_takes_no_step_of_the_call(world: World, step: str) -> None:
    add(world)
    stale = claimed("stale")
    attempt = stale.last_attempt
    if step == "answer":
        attempts.send(attempt)
    let_the_lease_run_out(stale)
    claimed("fresh")
    before = Attempt.objects.values().get()
    with pytest.raises(LostLeaseError), claims.writing():
        attempts.send(attempt) if step == "send" else attempts.answer(attempt, ANSWER)
    assert Attempt.objects.values().get() == before


def test_its_own_step_cant_be_taken_twice(world: World) -> None:
    add(world)
    attempt = claimed().last_attempt
    with claims.writing():
        attempts.send(attempt)
    attempt.state = Attempt.State.PREPARED
    with pytest.raises(attempts.WrongStateError), claims.writing():
        attempts.send(attempt)
