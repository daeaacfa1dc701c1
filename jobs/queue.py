"""The queue is the Job table: every change of a job's state is here.

A worker owns a job by its *lease*, which a heartbeat renews, and by its *fence*, a number that rises with
each claim: whoever was frozen past its lease finds the fence moved on, and changes nothing any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from jobs.models import Job

State = Job.State
Reason = Job.Reason


class LostLeaseError(Exception):
    """The job belongs to another worker by now."""


def due() -> bool:
    """Whether a claim is worth its write lock."""
    return Job.objects.claimable(timezone.now()).exists()


def claim(worker: str) -> Job | None:
    """Take the job whose turn it is, or None. One short transaction."""
    now = timezone.now()
    with transaction.atomic():
        ready = Job.objects.claimable(now).order_by("-priority", "run_after", "pk")
        job = ready.select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked
        ).first()
        if job is None:
            return None
        Job.objects.filter(pk=job.pk).update(
            state=State.RUNNING,
            worker=worker,
            fence=F("fence") + 1,
            lease_until=now + timedelta(seconds=settings.LEASE_SECONDS),
            updated_at=now,
        )
    return Job.objects.select_related("team", "created_by").get(pk=job.pk)


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
    with transaction.atomic():
        mine = Job.objects.select_for_update().filter(pk=job.pk, fence=job.fence, state=State.RUNNING)
        if not mine.exists():
            raise LostLeaseError(str(job.pk))
        yield


def postpone(job: Job, seconds: float, reason: Reason) -> None:
    """Back into the queue, not before so many seconds have passed."""
    _leave(job, State.QUEUED, reason, run_after=timezone.now() + timedelta(seconds=seconds))


def finish(job: Job, *, name: str, sha256: str, size: int) -> None:
    """The result is stored and its charge is dealt with."""
    _leave(job, State.DONE, None, result=name, result_sha256=sha256, result_bytes=size)


def fail(job: Job, reason: Reason) -> None:
    """Ended without a result."""
    _leave(job, State.FAILED, reason)


def doubt(job: Job, reason: Reason) -> None:
    """Ended until a person, or the upstream's balance, tells whether the call was charged."""
    _leave(job, State.IN_DOUBT, reason)


def requeue(job: Job) -> bool:
    """A failed job once more; False where it isn't failed any more."""
    failed = Job.objects.filter(pk=job.pk, state=State.FAILED)
    now = timezone.now()
    return bool(failed.update(state=State.QUEUED, reason="", run_after=now, updated_at=now))


def _leave(job: Job, state: State, reason: Reason | None, **changes: Any) -> None:
    mine = Job.objects.filter(pk=job.pk, fence=job.fence, state=State.RUNNING)
    now = timezone.now()
    if not mine.update(state=state, reason=reason or "", lease_until=None, updated_at=now, **changes):
        raise LostLeaseError(str(job.pk))
