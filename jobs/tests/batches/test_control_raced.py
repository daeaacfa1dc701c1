"""Batches are paused, cancelled and started while others submit and claim."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.tests.ledger.test_allowances_raced import behind
from conftest import World
from jobs.audit.verify import run as verify
from jobs.batches import control, reuse
from jobs.batches.create import open_batch
from jobs.batches.register import Listing, register
from jobs.calls import attempts
from jobs.intake import submit
from jobs.intake.submit import RemovedError
from jobs.models import Attempt, Batch, Job
from jobs.queue import claims, concurrency
from jobs.queue.claims import LostLeaseError
from jobs.tests.batches.test_control import BATCH, add, claimed, leave, states, the_batch

pytestmark = pytest.mark.both_databases


@pytest.fixture
def job(committed_world: World) -> Job:
    return add(committed_world)[0]


@pytest.fixture
def kept(committed_world: World) -> Job:
    """A kept picture that there are credits for by now."""
    leave(committed_world, 0)
    kept = add(committed_world)[0]
    leave(committed_world, 2)
    return kept


def beside(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run ``second`` as ``behind`` does, but let it end before the first is committed if it doesn't wait."""

    def run() -> None:
        try:
            second()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            done = pool.submit(run)
            wait([done], timeout=1)
        done.result(30)


def pause() -> None:
    control.pause(the_batch())


def test_an_upload_behind_a_pause_is_kept(committed_world: World, job: Job) -> None:
    behind(pause, lambda: add(committed_world))
    assert sorted(Job.objects.values_list("state", flat=True)) == ["kept", "paused"]


def test_an_upload_that_looked_before_the_pause_goes_on(
    committed_world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it looks without the lock."""
    monkeypatch.setattr(submit, "_lock_batch", lambda pk: Batch(pk=pk))
    beside(pause, lambda: add(committed_world))
    assert sorted(Job.objects.values_list("state", flat=True)) == ["paused", "queued"]


@pytest.fixture
def missing(committed_world: World) -> UUID:
    """A file that the batch waits for; its request's id."""
    batch = open_batch(committed_world.team, committed_world.bob, BATCH)
    register(batch, [Listing("late.png", request := uuid4(), sha256="0" * 64)])
    return request


def arrive(world: World, missing: UUID) -> None:
    with suppress(RemovedError):
        world.job(keep=True, batch=BATCH, request_id=missing)


def forget() -> None:
    control.forget_missing(the_batch())


def test_a_file_that_is_not_waited_for_any_more_costs_nothing(committed_world: World, missing: UUID) -> None:
    behind(forget, lambda: arrive(committed_world, missing))
    assert (Job.objects.count(), ledger.balances(committed_world.team).held) == (0, 0)


def test_without_a_look_at_its_row_it_is_paid_for_though_it_was_removed(
    committed_world: World, missing: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it looks at its batch alone."""
    monkeypatch.setattr(
        submit, "_lock_batch_that_waits", lambda job: (submit._lock_batch(job.batch_id), False)
    )
    behind(forget, lambda: arrive(committed_world, missing))
    assert ledger.balances(committed_world.team).held == CREDIT
    assert the_batch().files.get().problem == "removed"


def test_a_file_that_arrives_first_stays(committed_world: World, missing: UUID) -> None:
    behind(lambda: arrive(committed_world, missing), forget)
    assert (Job.objects.count(), the_batch().files.get().problem) == (1, "")


def test_a_file_that_is_not_waited_for_any_more_is_not_reused(committed_world: World, missing: UUID) -> None:
    earlier = add(committed_world, batch=uuid4())[0]
    Job.objects.update(state="done", result="x", source_sha256="0" * 64)
    behind(forget, lambda: reuse.use_again(the_batch(), committed_world.bob, [missing]))
    assert [job.pk for job in Job.objects.all()] == [earlier.pk]


def test_nothing_is_started_behind_a_pause(kept: Job) -> None:
    behind(pause, control.start_kept)
    assert states([kept]) == ["kept"]


def test_without_the_lock_one_starts_in_a_paused_batch(kept: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it goes by the batch as it was read with the job."""
    read_before = the_batch()
    monkeypatch.setattr(control, "_lock", lambda _batch: read_before)
    beside(pause, control.start_kept)
    assert states([kept]) == ["queued"]


def test_a_picture_is_started_once_by_two_workers(committed_world: World, kept: Job) -> None:
    behind(control.start_kept, control.start_kept)
    assert (states([kept]), Attempt.objects.count()) == (["queued"], 1)
    assert ledger.balances(committed_world.team).held == CREDIT
    assert verify().findings == []


def test_without_its_state_in_the_update_it_is_started_twice(
    committed_world: World, kept: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: credits are held twice for one picture."""

    def begin(job: Job) -> bool:
        return bool(Job.objects.filter(pk=job.pk).update(state="queued", updated_at=timezone.now()))

    monkeypatch.setattr(claims, "begin", begin)
    beside(control.start_kept, control.start_kept)
    assert (Attempt.objects.count(), ledger.balances(committed_world.team).held) == (2, 2 * CREDIT)


@pytest.mark.parametrize("act", [control.pause, control.cancel])
def test_nothing_is_claimed_behind_it(job: Job, act: Callable[..., Any]) -> None:
    taken: list[Job | None] = []
    beside(lambda: act(the_batch()), lambda: taken.append(claims.claim("test")))
    assert taken == [None]


@pytest.mark.parametrize("act", [control.pause, control.cancel])
def test_one_that_is_claimed_first_is_left_alone(
    committed_world: World, job: Job, act: Callable[..., Any]
) -> None:
    behind(claimed, lambda: act(the_batch()))
    assert states([job]) == ["running"]
    assert ledger.balances(committed_world.team).held == CREDIT


@pytest.mark.parametrize(("act", "state"), [(control.pause, "paused"), (control.cancel, "cancelled")])
def test_without_its_state_in_the_select_a_running_one_is_stopped(
    committed_world: World,
    job: Job,
    act: Callable[..., Any],
    state: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: its worker can't finish what it may have sent."""
    seen = SeenBefore(list(Job.objects.filter(state="queued")))
    for name in ("unsent", "would_begin"):
        monkeypatch.setattr(claims, name, lambda _jobs: seen)
    monkeypatch.setattr(claims, "cancel", lambda job: Job.objects.filter(pk=job.pk).update(state="cancelled"))
    beside(claimed, lambda: act(the_batch()))
    assert states([job]) == [state]
    running = Job.objects.get()
    with pytest.raises(LostLeaseError), claims.owned(running):
        pass


class SeenBefore:
    """The jobs as they were seen before the lock, whatever they are now."""

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = Job.objects.filter(pk__in=[job.pk for job in jobs])

    def filter(self, **_: Any) -> Any:
        return self._jobs

    def order_by(self, *names: str) -> Any:
        return self._jobs.order_by(*names)


def test_everything_at_once(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six threads do what comes to their mind; then nothing is out of place."""
    monkeypatch.setattr(concurrency, "allowed", lambda *_: 100)
    leave(committed_world, 8)
    add(committed_world)

    def process() -> None:
        if job := claims.claim("test"):
            with claims.owned(job):
                attempts.release(job.last_attempt)
                claims.fail(job, Job.Reason.REFUSED)

    acts: list[Callable[[], object]] = [
        pause,
        lambda: control.resume(the_batch()),
        lambda: control.cancel(the_batch()),
        lambda: control.retry(the_batch(), committed_world.bob),
        control.start_kept,
        process,
        process,
        lambda: committed_world.job(keep=True, batch=the_batch().pk, request_id=uuid4()),
    ]

    def act(seed: int) -> None:
        order = random.Random(seed)
        try:
            for _ in range(12):
                with suppress(LostLeaseError):
                    order.choice(acts)()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(6)))
    assert verify().findings == []
    pause()
    assert not Job.objects.filter(state__in=["queued", "running"]).exists()
    held = Attempt.objects.filter(state="prepared").count()
    assert held == Job.objects.filter(state="paused").count()
    control.cancel(the_batch())
    assert ledger.balances(committed_world.team).held == 0
    assert verify().findings == []


def put_back(job: Job) -> None:
    with claims.owned(job):
        claims.postpone(job, 0, Job.Reason.SLOW_DOWN)


def test_a_picture_that_is_put_back_amid_a_resume_goes_again(job: Job) -> None:
    """As the upstream asks to, having read that its batch is paused."""
    in_hand = claimed()
    pause()
    behind(lambda: put_back(in_hand), lambda: control.resume(the_batch()))
    assert states([job]) == ["queued"]


def test_so_does_one_that_is_put_back_behind_a_resume(job: Job) -> None:
    in_hand = claimed()
    pause()
    beside(lambda: control.resume(the_batch()), lambda: put_back(in_hand))
    assert states([job]) == ["queued"]
