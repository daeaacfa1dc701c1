"""The queue is the Job table: every change of a job's state is here.

A worker owns a job by its *lease*, which a heartbeat renews, and by its *fence*, a number that rises with
each claim: whoever was frozen past its lease finds the fence moved on, and changes nothing any more.

Teams take turns, so that 5,000 jobs of one don't delay one job of another; within a team programs go before
batches. ``jobs.queue.concurrency`` bounds the calls in flight over all workers and hosts.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts.models import Team
from jobs.models import Job, Turn
from jobs.queue import concurrency

State = Job.State
Reason = Job.Reason

TEAMS_TRIED = 5

CallLimitError = concurrency.CallLimitError

_one_writer = threading.Lock()


class LostLeaseError(Exception):
    """The job belongs to another worker by now."""


def any_claimable() -> bool:
    """Whether a claim is worth its write lock."""
    return Job.objects.claimable(timezone.now()).exists()


def claimable_count() -> int:
    """How many jobs a claim could be had for now."""
    free = max(0, concurrency.free_calls())
    return Job.objects.claimable(timezone.now())[:free].count()


def claim(worker: str) -> Job | None:
    """Take the job whose turn it is, or None: nothing is due, or enough calls are in flight.

    One short transaction. The ramp's row is locked first, so that two claims can't both take the last
    free call, nor the same turn.
    """
    with _writing():
        ramp = concurrency.locked()
        now = timezone.now()  # after the wait for the lock: a lease mustn't be half over when it begins
        job = _next(now) if concurrency.worker_may_begin(ramp, now) else None
        if job is None:
            return None
        _change(job, **_running(worker, job.fence + 1, now), updated_at=now)
        if not Turn.objects.filter(team=job.team_id).update(served_at=now):
            Turn.objects.create(team=job.team, served_at=now)
        concurrency.record(ramp, now)
    return job


def reclaim(worker: str) -> Job | None:
    """Take a program's job that its web process left behind, or None. Ending it makes no call, so that it
    needs no free one, and a web process can do it where no worker runs."""
    now = timezone.now()
    left = Job.objects.claimable(now).filter(state=State.RUNNING).exclude(origin=Job.Origin.BROWSER)
    if not left.exists():
        return None
    with _writing():
        skips = connection.features.has_select_for_update_skip_locked
        job = left.order_by("lease_until").select_for_update(skip_locked=skips).first()
        if job:
            now = timezone.now()  # after the wait for the lock, as in ``claim``
            _change(job, **_running(worker, job.fence + 1, now), updated_at=now)
    return job


def claim_columns(worker: str) -> dict[str, Any]:
    """The fields of a job that is made for a program: claimed by whoever makes it. ``admit`` it then."""
    return _running(worker, 1, timezone.now())


def admit() -> None:
    """Let the call be made for which this transaction has made a job; raises NoSlotError where enough calls
    are in flight. Last of all in its transaction, since everybody waits for the ramp's row."""
    ramp, now = concurrency.locked(), timezone.now()
    if not concurrency.program_may_begin(ramp, now):
        raise CallLimitError
    concurrency.record(ramp, now)


def _next(now: datetime) -> Job | None:
    """The most urgent job of the team that has waited longest, locked."""
    theirs = Job.objects.claimable(now).filter(team=OuterRef("pk"))
    served = F("turn__served_at").asc(nulls_first=True)
    for team in Team.objects.filter(Exists(theirs)).order_by(served, "pk")[:TEAMS_TRIED]:
        ready = Job.objects.claimable(now).filter(team=team).order_by("-priority", "run_after", "pk")
        # Locked by others: a job that its stale worker is just ending, after its lease ran out.
        job = ready.select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked
        ).first()
        if job:
            job.team = team
            return job
    return None


def heartbeat(job_pk: int, fence: int) -> bool:
    """Renew a lease; False where the job isn't this claim's any more."""
    lease_until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    mine = Job.objects.filter(pk=job_pk, fence=fence, state=State.RUNNING)
    return bool(mine.update(lease_until=lease_until))


@contextmanager
def owned(job: Job) -> Iterator[None]:
    """A transaction in which the job is surely this claim's; raises LostLeaseError otherwise.

    The row is locked, so nobody can claim it before the transaction ends.
    """
    with _writing():
        mine = Job.objects.select_for_update().filter(pk=job.pk, fence=job.fence, state=State.RUNNING)
        if not mine.exists():
            raise LostLeaseError(str(job.pk))
        yield


@contextmanager
def locked(job: Job) -> Iterator[None]:
    """A transaction in which nobody else ends the job's attempts, whoever has it by now."""
    with _writing():
        Job.objects.select_for_update().get(pk=job.pk)
        yield


def _running(worker: str, fence: int, now: datetime) -> dict[str, Any]:
    lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    return {"state": State.RUNNING, "worker": worker, "fence": fence, "lease_until": lease_until}


def is_done(job: Job) -> bool:
    """Whether the database has this claim's result."""
    return Job.objects.filter(pk=job.pk, fence=job.fence, state=State.DONE).exists()


def has_result(job: Job, name: str) -> bool:
    """Whether this file is the job's, whoever finished it."""
    return Job.objects.filter(pk=job.pk, result=name).exists()


def postpone(job: Job, seconds: float, reason: Reason) -> None:
    """Back into the queue, not before so many seconds have passed."""
    _release(job, State.QUEUED, reason, run_after=timezone.now() + timedelta(seconds=seconds))


def finish(job: Job, *, name: str, sha256: str, size: int) -> None:
    """The result is stored and its charge is dealt with."""
    _release(job, State.DONE, None, result=name, result_sha256=sha256, result_bytes=size)


def fail(job: Job, reason: Reason) -> None:
    """Ended without a result."""
    _release(job, State.FAILED, reason)


def mark_in_doubt(job: Job, reason: Reason) -> None:
    """Ended until a person, or the upstream's balance, tells whether the call was charged."""
    _release(job, State.IN_DOUBT, reason)


def requeue(job: Job) -> bool:
    """A failed job once more; False where it isn't failed any more."""
    failed = Job.objects.filter(pk=job.pk, state=State.FAILED)
    now = timezone.now()
    return bool(failed.update(state=State.QUEUED, reason="", run_after=now, updated_at=now))


def forget_request(job: Job) -> None:
    """The same request is a new one from now on: nothing came of this, and nothing was charged."""
    _change(job, request_id=uuid4())


def resolve(job: Job, *, charged: bool, result: dict[str, Any] | None = None) -> None:
    """Somebody found out what a job in doubt has cost; it can be tried again from now on. A job that has
    its result stays done, and one whose result was only stored (``result``: its columns) gets it now."""
    in_doubt = Job.objects.filter(pk=job.pk, state=State.IN_DOUBT)
    if result:
        in_doubt.update(state=State.DONE, reason="", updated_at=timezone.now(), **result)
        return
    reason = Reason.RESULT_LOST if charged else Reason.NOT_CHARGED
    in_doubt.update(state=State.FAILED, reason=reason, updated_at=timezone.now())


def _release(job: Job, state: State, reason: Reason | None, **changes: Any) -> None:
    mine = Job.objects.filter(pk=job.pk, fence=job.fence, state=State.RUNNING)
    changes |= {"state": state, "reason": reason or "", "lease_until": None, "updated_at": timezone.now()}
    if not mine.update(**changes):
        raise LostLeaseError(str(job.pk))
    for name, value in changes.items():
        setattr(job, name, value)


def _change(job: Job, **changes: Any) -> None:
    """Of a job whose row is locked."""
    Job.objects.filter(pk=job.pk).update(**changes)
    for name, value in changes.items():
        setattr(job, name, value)


@contextmanager
def _writing() -> Iterator[None]:
    """A transaction that writes. SQLite lets in one writer at a time, and those it keeps waiting sleep and
    look again later and later; so the threads of a process queue up before it."""
    with _one_writer if connection.vendor == "sqlite" else nullcontext(), transaction.atomic():
        yield
