"""Pause, resume, cancel and retry a batch, and start the pictures that waited for credits.

A batch's row is locked before its jobs' rows, and those before the ledger's, by everything here and by
``jobs.intake.submit``. So no picture is queued into a batch that is being paused.
"""

import time
from collections.abc import Iterable, Iterator, Sequence

from django.db.models import Q
from django.utils import timezone

from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.operations import LedgerError, balances
from accounts.models import Team, User
from accounts.teams.permissions import may_spend
from jobs.calls import attempts, kept_jobs
from jobs.models import Attempt, Batch, BatchFile, Job
from jobs.models.job import PAYER
from jobs.queue import claims, notify
from jobs.storage.interruptible import Stop, keep_going

CANCELLED_AT_ONCE = 25
"""Jobs cancelled in one transaction, which locks the team's accounts."""

CANCELLED_MEMO = "cancelled"

START_AT_ONCE_SECONDS = 0.5
"""Each start is a transaction, and a page waits for them."""


def pause(batch: Batch) -> None:
    """Let none of the batch's pictures begin; those being processed are finished. Their holds stay."""
    with claims.writing():
        _lock(batch)
        batch.paused_at = timezone.now()
        batch.save(update_fields=["paused_at", "updated_at"])
        claims.pause(batch.pk)


def pause_all() -> int:
    """Pause each batch some of whose pictures would begin by themselves; return how many were.

    That is also if they wait for credits or are still to be fetched, or if their worker died before the call.
    """
    jobs = claims.would_begin(Job.objects.all()) | Job.objects.kept()
    to_fetch = BatchFile.objects.filter(fetch_after__isnull=False)
    begins = Q(pk__in=jobs.values("batch")) | Q(pk__in=to_fetch.values("batch"))
    batches = Batch.objects.filter(begins, paused_at=None)
    for batch in batches:
        pause(batch)
    return len(batches)


def resume(batch: Batch) -> None:
    """Let the batch's pictures begin again."""
    with claims.writing():
        _lock(batch)
        batch.paused_at = None
        batch.save(update_fields=["paused_at", "updated_at"])
        notify.after_commit(claims.resume(batch.pk))


def cancel(batch: Batch, only: Sequence[int] | None = None) -> list[int]:
    """Cancel the pictures whose calls weren't sent and give their holds back; return their keys.

    only: the keys of the jobs to cancel; None for all of the batch. An interrupted cancellation has
    cancelled some of them, and can be repeated.
    """
    jobs = batch.jobs.all() if only is None else batch.jobs.filter(pk__in=only)
    keys = list(claims.unsent(jobs).order_by("pk").values_list("pk", flat=True))
    parts = [keys[at : at + CANCELLED_AT_ONCE] for at in range(0, len(keys), CANCELLED_AT_ONCE)]
    return [key for part in parts for key in _cancel(part)]


def retry(batch: Batch, user: User, only: Sequence[int] | None = None, *, state: str = "") -> int:
    """Let failed and cancelled pictures wait for credits; return how many will be tried again.

    This person pays for those that failed. only: the keys of the jobs; None for all of the batch. state: only
    those in this state. Some of them start at once, and the rest within seconds (``jobs.worker.background``).
    """
    jobs = batch.jobs.all() if only is None else batch.jobs.filter(pk__in=only)
    with claims.writing():
        count = claims.keep_again(jobs.filter(state=state) if state else jobs, user)
    return _start_some(batch, count)


def take_over(batch: Batch, user: User) -> int:
    """Let this person pay for the kept pictures whose payer may not spend any more; return how many."""
    with claims.writing():
        _lock(batch)
        count = claims.pay(kept_jobs.without_payer(batch), user)
    return _start_some(batch, count)


def _start_some(batch: Batch, count: int) -> int:
    if count:
        end = time.monotonic() + START_AT_ONCE_SECONDS
        start_kept(lambda: time.monotonic() > end, team=batch.team)
    return count


def forget_refused(batch: Batch) -> int:
    """Take the files that can't be cut out off the batch; return how many they were."""
    return batch.files.refused().update(problem=BatchFile.Problem.REMOVED, updated_at=timezone.now())


def forget_missing(batch: Batch) -> int:
    """Take the files that aren't uploaded off the batch, so that it ends without them; return how many.

    Nothing is held for them. An upload that ends now waits for the batch's row, and is refused then.
    """
    with claims.writing():
        locked = _lock(batch)
        now = timezone.now()
        missing = locked.files.missing().filter(fetch_after=None)
        count = missing.update(problem=BatchFile.Problem.REMOVED, updated_at=now)
        locked.save(update_fields=["updated_at"])  # ``jobs.events.finished`` looks at it soon
    return count


def start_kept(stop: Stop = keep_going, *, team: Team | None = None) -> int:
    """Queue the kept pictures that credits can be held for now, each person's in order; return how many.

    A person's first picture without credits ends their turn, so that a small one doesn't overtake a large
    one for ever. Other people of the team may have an allowance of their own left. Who has left the team, or
    may only look by now, spends nothing.
    """
    jobs = Job.objects.kept() if team is None else Job.objects.kept().filter(team=team)
    waiting: Iterable[tuple[int, int]] = jobs.order_by().values_list("team", PAYER).distinct()
    return sum(_start_those_of(*those, stop) for those in waiting if may_spend(*those))


def _start_those_of(team_id: int, user_id: int, stop: Stop) -> int:
    started = 0
    for job in _in_order(team_id, user_id):
        if stop() or not _seems_affordable(job):
            break
        try:
            started += _start(job)
        except AllowanceUsedUpError as error:
            if error.asked_microcredits <= error.limit_microcredits:
                break
            # Prices have risen since it was estimated. No waiting helps it, so the others go first.
            asked = {"estimated_microcredits": error.asked_microcredits, "updated_at": timezone.now()}
            Job.objects.filter(pk=job.pk, state=Job.State.KEPT).update(**asked)
        except LedgerError:
            break
    return started


def _in_order(team_id: int, user_id: int) -> Iterator[Job]:
    """Yield the kept jobs that the person pays for, the oldest first; each is read when it is asked for."""
    jobs = (
        kept_jobs.ahead(team_id, user_id)
        .select_related("team", "created_by", "payer", "batch")
        .order_by("pk")
    )
    last = 0
    while job := jobs.filter(pk__gt=last).first():
        last = job.pk
        yield job


def _seems_affordable(job: Job) -> bool:
    """Tell if a try is worth its locks. Only the hold itself decides."""
    now = balances(job.team)
    return not now.owed and now.available >= job.estimated_microcredits


def _start(job: Job) -> bool:
    with claims.writing():
        if job.batch is None or _lock(job.batch).paused_at or not claims.begin(job):
            return False
        attempts.prepare(job, job.paid_by)
        notify.after_commit()
    return True


def _cancel(keys: Sequence[int]) -> list[int]:
    """Cancel these jobs in one transaction, those that a worker has taken meanwhile left out."""
    cancelled = []
    with claims.writing():
        jobs = claims.unsent(Job.objects.filter(pk__in=keys)).order_by("pk")
        for job in jobs.select_for_update(of=("self",)).prefetch_related("attempts__hold"):
            # Read after the wait for the lock, in which a worker may have made the call.
            states = {attempt.state: attempt for attempt in job.attempts.all()}
            if states.keys() & claims.CALL_MADE:
                continue
            if prepared := states.get(Attempt.State.PREPARED):
                attempts.release(prepared, memo=CANCELLED_MEMO)
            if claims.cancel(job):
                cancelled.append(job.pk)
    return cancelled


def _lock(batch: Batch) -> Batch:
    """Lock the batch's row to the end of the transaction, and read it anew."""
    locked: Batch = Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
    return locked
