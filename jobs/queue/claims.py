"""Claim jobs, and change their states. The queue is the Job table, and every change of a state is here.

A worker owns a job by its *lease*, which a heartbeat renews, and by its *fence*, a number that rises with
each claim: a worker that was frozen past its lease finds the fence moved on, and changes nothing any more.

``jobs.queue.scheduling`` chooses the next job, and ``jobs.queue.concurrency`` bounds the calls in flight over
all workers and hosts.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BigIntegerField, Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts.models import User
from jobs import plain_sql
from jobs.events import outbox
from jobs.models import Attempt, Batch, Job, Ramp
from jobs.queue import concurrency, scheduling

State = Job.State
Reason = Job.Reason

UNSENT = (State.QUEUED, State.PAUSED, State.KEPT)
"""States of a job that no worker has in hand."""

CALL_MADE = {Attempt.State.SENT, Attempt.State.ANSWERED}
"""States of an attempt whose call has left this machine, and isn't booked yet."""

MAX_TEAMS_TRIED = 5

CallLimitError = concurrency.CallLimitError

# In plain SQL, so that a job is chosen, leased and read in one statement: all other workers wait for it.
CLAIM = """
UPDATE jobs_job SET state = 'running', worker = %s, fence = fence + 1, lease_until = %s, updated_at = %s
WHERE id = ({choice}) RETURNING *
"""
MINE = "SELECT id FROM jobs_job WHERE id = %s AND fence = %s AND state = 'running'"
"""Selects the job of one claim, by its id and its fence."""

_one_writer = threading.Lock()


class LostLeaseError(Exception):
    """The job belongs to another worker by now."""


def any_claimable() -> bool:
    """Tell if a claim is worth its write lock."""
    return Job.objects.claimable(timezone.now()).exists()


def claimable_count() -> int:
    """Return how many jobs could be claimed now."""
    free = max(0, concurrency.free_calls())
    return Job.objects.claimable(timezone.now())[:free].count()


def claim(worker: str) -> Job | None:
    """Claim the next job; None if nothing is due, or enough calls are in flight."""
    return next(iter(claim_each([worker])), None)


def claim_each(workers: Sequence[str]) -> list[Job]:
    """Claim a job for each worker, as far as jobs are due and calls are free.

    One short transaction. The ramp's row is locked first, so that two claims can't both take the last free
    call, nor the same turn.
    """
    jobs: list[Job] = []
    with writing():
        ramp = concurrency.locked()
        for worker in workers:
            now = timezone.now()  # after the wait for the lock: a lease mustn't be half over when it begins
            job = _claim_next(worker, ramp, now)
            if job is None:
                break
            concurrency.record(ramp, now)
            # Two jobs of one transaction are two turns, also on a clock that stands still between them.
            scheduling.serve(job.team_id, now + timedelta(microseconds=len(jobs)))
            jobs.append(job)
    return jobs


def _claim_next(worker: str, ramp: Ramp, now: datetime) -> Job | None:
    """Claim the job whose turn it is, or the first that no other worker has locked."""
    lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    changes = [worker, plain_sql.moment(lease_until), plain_sql.moment(now)]
    skips_locked = connection.features.has_select_for_update_skip_locked
    for place in range(MAX_TEAMS_TRIED if skips_locked else 1):
        choice, params = scheduling.choice(ramp, now, place)
        if claimed := list(Job.objects.raw(CLAIM.format(choice=choice), [*changes, *params])):
            return claimed[0]
    return None


def reclaim(worker: str) -> Job | None:
    """Claim a job that ends without a call and that nobody has in hand, or return None.

    That is a program's job whose process left it behind, or whose paid result waits for room. While calls
    are stopped it is any job whose call was made, since no worker claims one then. It needs no free call, and
    a web process can end it without a worker.
    """
    now = timezone.now()
    ends = ~Q(origin=Job.Origin.BROWSER)
    if Ramp.objects.filter(stopped_at__isnull=False).exists():
        ends |= Q(_call_is_made())
    due = Job.objects.claimable(now).filter(ends)
    left_behind = due.filter(state=State.RUNNING).order_by("lease_until")
    # Found by their attempts, of which few are open, since the queue may be long.
    answered = Attempt.objects.answered().values("job")
    waiting = due.filter(state=State.QUEUED, pk__in=answered).order_by("run_after")
    return _reclaim_first(left_behind, worker) or _reclaim_first(waiting, worker)


def _reclaim_first(jobs: QuerySet[Job], worker: str) -> Job | None:
    if not jobs.exists():
        return None
    with writing():
        skips_locked = connection.features.has_select_for_update_skip_locked
        job = jobs.select_for_update(of=("self",), skip_locked=skips_locked).first()
        if job:
            now = timezone.now()  # after the wait for the lock, as in ``claim_each``
            _change(job, **_running(worker, job.fence + 1, now), updated_at=now)
    return job


def claim_columns(worker: str) -> dict[str, Any]:
    """Return the fields of a new job that is claimed by the web process that makes it. ``admit`` it then."""
    return _running(worker, 1, timezone.now())


def admit() -> None:
    """Let the new job of this transaction make its call; raises CallLimitError if enough are in flight.

    Last of all in its transaction, since everybody waits for the ramp's row.
    """
    if not concurrency.admit():
        raise CallLimitError


def heartbeat(job_pk: int, fence: int) -> bool:
    """Renew a lease; False if the job isn't this claim's any more."""
    lease_until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    owned_jobs = Job.objects.filter(pk=job_pk, fence=fence, state=State.RUNNING)
    return bool(owned_jobs.update(lease_until=lease_until))


def end_leases(process: str) -> int:
    """End the leases of a process that is known to be dead; return how many those were."""
    now = timezone.now()
    of_process = Q(worker=process) | Q(worker__startswith=f"{process}:")
    return Job.objects.in_flight(now).filter(of_process).update(lease_until=now - timedelta(microseconds=1))


def check_owned(job: Job) -> None:
    """Lock the job's row; raise LostLeaseError unless the job is still this claim's."""
    with connection.cursor() as cursor:
        cursor.execute(plain_sql.locking(MINE), [job.pk, job.fence])
        if cursor.fetchone() is None:
            raise LostLeaseError(str(job.pk))


@contextmanager
def owned(job: Job) -> Iterator[None]:
    """Open a transaction in which the job is surely this claim's; raises LostLeaseError otherwise.

    The row is locked, so nobody can claim it before the transaction ends.
    """
    with writing():
        check_owned(job)
        yield


@contextmanager
def locked(job: Job) -> Iterator[None]:
    """Open a transaction in which nobody else ends the job's attempts, whoever has claimed it by now."""
    with writing():
        Job.objects.select_for_update().get(pk=job.pk)
        yield


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that writes.

    SQLite lets in one writer at a time, and those it keeps waiting sleep and look again, later and later;
    so the threads of a process queue up before it.
    """
    with _one_writer if connection.vendor == "sqlite" else nullcontext(), transaction.atomic():
        yield


def is_done(job: Job) -> bool:
    """Tell if the database has this claim's result."""
    return Job.objects.filter(pk=job.pk, fence=job.fence, state=State.DONE).exists()


def has_result(job: Job, name: str) -> bool:
    """Tell if this file is the job's result, whoever finished it."""
    return Job.objects.filter(pk=job.pk, result=name).exists()


def postpone(job: Job, seconds: float, reason: Reason) -> None:
    """Put the job back into the queue, due once this many seconds have passed.

    It is paused if its batch was paused meanwhile, unless it only waits for its paid result to be stored.
    """
    pauses = job.batch_id is not None and reason != Reason.RESULT_WAITS and _is_surely_paused(job.batch_id)
    state = State.PAUSED if pauses else State.QUEUED
    _release(job, state, reason, run_after=timezone.now() + timedelta(seconds=seconds))


def _is_surely_paused(batch_id: UUID) -> bool:
    # The job's row is locked already, so nobody may wait for the batch's here (``jobs.batches.control``).
    # Whoever has that may be resuming it, and wouldn't find a picture that is paused only now: it goes again.
    batches = Batch.objects.select_for_update(no_key=True, skip_locked=True)
    return batches.filter(pk=batch_id, paused_at__isnull=False).first() is not None


def finish(job: Job, *, name: str, sha256: str, size: int) -> None:
    """Mark the job as done: its result is stored."""
    _release(job, State.DONE, None, result=name, result_sha256=sha256, result_bytes=size)


def fail(job: Job, reason: Reason) -> None:
    """End the job without a result."""
    _release(job, State.FAILED, reason)


def mark_in_doubt(job: Job, reason: Reason) -> None:
    """End the job until a person, or the upstream's balance, says if the call was charged."""
    _release(job, State.IN_DOUBT, reason)


def requeue(job: Job, payer: User, *, paused: bool = False) -> bool:
    """Queue a failed job once more, paid by this person, or pause it; False if it isn't failed any more."""
    failed = Job.objects.filter(pk=job.pk, state=State.FAILED, erased_at=None)
    now, state = timezone.now(), State.PAUSED if paused else State.QUEUED
    return bool(failed.update(state=state, reason="", payer=payer, run_after=now, updated_at=now))


def unsent(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Select those that no worker has in hand and whose call isn't made.

    A job whose paid result waits for room on the disk is queued too, but its call is made.
    """
    return jobs.filter(~_call_is_made(), state__in=UNSENT)


def would_begin(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Select those whose call a worker would make: queued ones, and those whose worker died before it."""
    left_behind = Q(state=State.RUNNING, lease_until__lt=timezone.now())
    return jobs.filter(Q(state=State.QUEUED) | left_behind, ~_call_is_made())


def pause(batch: UUID) -> int:
    """Let no worker claim the batch's waiting jobs; their holds stay. Return how many they are."""
    waiting = would_begin(Job.objects.filter(batch=batch))
    return _move_all(waiting, state=State.PAUSED, lease_until=None)


def resume(batch: UUID) -> int:
    """Let workers claim the batch's paused jobs again; return how many they are."""
    paused = Job.objects.filter(batch=batch, state=State.PAUSED)
    # Those that the upstream asked to wait still do.
    return _move_all(paused, state=State.QUEUED, run_after=Greatest("run_after", timezone.now()))


def begin(job: Job) -> bool:
    """Queue a job that was kept; False if it isn't kept any more, or another person pays for it by now."""
    now = timezone.now()
    kept = Job.objects.filter(pk=job.pk, state=State.KEPT, payer=job.payer_id)
    return bool(kept.update(state=State.QUEUED, reason="", run_after=now, updated_at=now))


def cancel(job: Job) -> bool:
    """End a job whose call wasn't sent; False if it has begun or ended meanwhile."""
    return _end(job, {"state": State.CANCELLED, "reason": ""}, UNSENT)


def keep_again(jobs: QuerySet[Job], payer: User) -> int:
    """Let failed or cancelled jobs of a batch wait for credits, to be started from there.

    This person pays for what failed, which is called again. What was cancelled stays with whoever began it:
    an undone cancellation moves no cost.
    """
    ended = jobs.filter(state__in=[State.FAILED, State.CANCELLED], batch__isnull=False, erased_at=None)
    reopen(*ended.order_by("batch").values_list("batch", flat=True).distinct())
    whose = When(state=State.FAILED, then=Value(payer.pk))
    paid_by = Case(whose, default="payer", output_field=BigIntegerField())
    return _move_all(ended, state=State.KEPT, reason="", payer=paid_by)


def pay(jobs: QuerySet[Job], payer: User) -> int:
    """Let kept jobs wait for credits of another person, inside the caller's ``writing``."""
    return _move_all(jobs.filter(state=State.KEPT), payer=payer)


def _call_is_made() -> Exists:
    return Exists(Attempt.objects.filter(job=OuterRef("pk"), state__in=CALL_MADE))


def _move_all(jobs: QuerySet[Job], **changes: Any) -> int:
    """Change jobs inside the caller's ``writing``, locked in the order of their keys.

    So two of these can't wait for each other.
    """
    locked = list(jobs.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    return Job.objects.filter(pk__in=locked).update(updated_at=timezone.now(), **changes)


def reopen(*batches: UUID) -> None:
    """Let batches that get work again be found finished once more when it has ended.

    It locks their rows, before their jobs' as in ``jobs.batches.control``, so that none is found finished
    before the work is there.
    """
    rows = Batch.objects.select_for_update(no_key=True).filter(pk__in=batches).order_by("pk")
    finished = [pk for pk, finished_at in rows.values_list("pk", "finished_at") if finished_at]
    if finished:
        Batch.objects.filter(pk__in=finished).update(finished_at=None)


def forget_request(job: Job) -> None:
    """Let the same request be a new one from now on: nothing came of this one, and nothing was charged."""
    _change(job, request_id=uuid4())


def resolve(job: Job, *, charged: bool, result: dict[str, Any] | None = None) -> None:
    """End a job in doubt, now that its cost is known; from now on it can be tried again.

    A job that has its result stays done. A program's request that wasn't charged is forgotten, so the program
    may send it again under the same key; until this commits, it is told that the call is in doubt.
    result: the columns of a result that was stored and not booked.
    """
    if result:
        changes = {"state": State.DONE, "reason": "", **result}
    else:
        changes = {"state": State.FAILED, "reason": Reason.RESULT_LOST if charged else Reason.NOT_CHARGED}
    if _end(job, changes, (State.IN_DOUBT,)) and job.is_direct and changes["reason"] == Reason.NOT_CHARGED:
        forget_request(job)


def _end(job: Job, changes: dict[str, Any], expected: Sequence[State]) -> bool:
    """End a job that no worker has in hand; False if it isn't in one of the expected states any more."""
    where = f"id = %s AND state IN ({', '.join(['%s'] * len(expected))})"
    return _change_and_tell(job, changes | {"updated_at": timezone.now()}, where, [job.pk, *expected])


def _release(job: Job, state: State, reason: Reason | None, **changes: Any) -> None:
    changes |= {"state": state, "reason": reason or "", "lease_until": None, "updated_at": timezone.now()}
    owned = "id = %s AND fence = %s AND state = 'running'"
    if not _change_and_tell(job, changes, owned, [job.pk, job.fence]):
        raise LostLeaseError(str(job.pk))
    for name, value in changes.items():
        setattr(job, name, value)


def _change_and_tell(job: Job, changes: dict[str, Any], where: str, params: Sequence[Any]) -> bool:
    """Change the job if it is as expected, and write the event if that ends it and someone listens."""
    heard = plain_sql.update_one(Job, changes, where, params, returning=outbox.HEARD)
    if heard and changes["state"] in Job.FINISHED:
        outbox.job_finished(job, changes["state"], changes["reason"])
    return heard is not None


def _running(worker: str, fence: int, now: datetime) -> dict[str, Any]:
    lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    return {"state": State.RUNNING, "worker": worker, "fence": fence, "lease_until": lease_until}


def _change(job: Job, **changes: Any) -> None:
    """Change a job whose row is locked."""
    Job.objects.filter(pk=job.pk).update(**changes)
    for name, value in changes.items():
        setattr(job, name, value)
