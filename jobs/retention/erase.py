"""Erase pictures: from then on nothing shows them, and their names are numbers. Their rows stay.

Every credit is explained by a job, its attempts and the ledger, so none of those is deleted. Erasing is one
transaction for a few jobs; ``jobs.retention.purge`` deletes the files afterwards, and may be interrupted.

A job may show another one's files (``Job.reused_from``). Whoever erases a job, or lets another one reuse it
(``jobs.batches.reuse``), first locks the row of the job that has the files. So a picture is either reused or
erased, whichever comes first.
"""

from collections.abc import Sequence

from django.db.models import CharField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import Team, User
from jobs.events import erased_names
from jobs.models import Attempt, BadResult, Batch, BatchFile, DamagedResult, Job
from jobs.queue import claims
from jobs.storage.interruptible import Stop, keep_going

AT_ONCE = 200
"""Jobs erased in one transaction, which on SQLite lets nobody else write."""

ENDED = (Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED)
SETTLED = (Attempt.State.BOOKED, Attempt.State.RELEASED)


def erasable(jobs: "QuerySet[Job]") -> "QuerySet[Job]":
    """Select the jobs that have ended and are settled, and on which no person has to decide anything."""
    of_job = Attempt.objects.filter(job=OuterRef("pk"))
    in_review = Attempt.objects.for_review()  # not by job, or SQLite would read it for each
    reported = BadResult.objects.filter(job=OuterRef("pk"), answered_at=None)
    return jobs.filter(
        ~Exists(of_job.exclude(state__in=SETTLED)),
        ~Q(pk__in=in_review.values("job")),
        ~Exists(reported),
        state__in=ENDED,
        erased_at=None,
    )


def erase(team: Team, keys: Sequence[int], *, subject: str, actor: User | None) -> int:
    """Erase those of the team's jobs that can be; return how many. actor: None for the team's retention."""
    with claims.writing():
        _lock(keys)
        jobs = list(erasable(Job.objects.filter(team=team, pk__in=keys)))
        if jobs:
            _erase(jobs)
            audit_log.record(Action.ERASE, subject, actor=actor, team=team, after={"pictures": len(jobs)})
    return len(jobs)


def erase_all(
    jobs: "QuerySet[Job]", team: Team, *, subject: str, actor: User | None, stop: Stop = keep_going
) -> int:
    """Erase those of the jobs that can be, a few in each transaction; return how many."""
    total, left = 0, erasable(jobs).order_by("created_at").values_list("pk", flat=True)
    while not stop() and (keys := list(left[:AT_ONCE])):
        erased = erase(team, keys, subject=subject, actor=actor)
        if not erased:  # all of them changed a moment ago
            break
        total += erased
    return total


def erase_batch(batch: Batch, actor: User) -> int:
    """Erase a batch's pictures, and its own names if none of them is left; return how many pictures."""
    total = erase_all(batch.jobs.all(), batch.team, subject=f"batch:{batch.pk}", actor=actor)
    forget_names(Batch.objects.filter(pk=batch.pk))
    return total


def forget_names(batches: "QuerySet[Batch]") -> int:
    """Replace the names of batches all of whose pictures are erased; return how many batches."""
    left = Job.objects.filter(batch=OuterRef("pk"), erased_at=None)
    empty = batches.filter(~Exists(left), erased_at=None).order_by("pk")
    with claims.writing():
        keys = list(empty.values_list("pk", flat=True)[:AT_ONCE])
        # As ``jobs.batches.register`` does, which may add a file to one of them; then look again.
        list(Batch.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))
        named = list(empty.filter(pk__in=keys))
        now = timezone.now()
        for batch in named:
            _forget_files(BatchFile.objects.filter(batch=batch))
            batch.files.filter(problem="").exclude(Exists(_job_of_file())).update(
                problem=BatchFile.Problem.REMOVED
            )
            batch.name, batch.file_names, batch.erased_at = str(batch.pk)[:8], {}, now
            batch.save(update_fields=["name", "file_names", "erased_at", "updated_at"])
        if named:
            erased_names.forget_batches(named)
    return len(named)


def _lock(keys: Sequence[int]) -> None:
    """Lock the jobs' rows, and those of the jobs whose files they show, in the order of their keys.

    With no_key, rows that refer to them can still be inserted. SQLite has locked the whole file by then.
    """
    roots = Job.objects.filter(pk__in=keys).exclude(reused_from=None).values_list("reused_from", flat=True)
    family = Job.objects.filter(pk__in={*keys, *roots}).order_by("pk")
    list(family.select_for_update(no_key=True).values_list("pk", flat=True))


def _erase(jobs: Sequence[Job]) -> None:
    now, keys = timezone.now(), [job.pk for job in jobs]
    Job.objects.filter(pk__in=keys).update(
        name=Cast("pk", CharField()), folder="", erased_at=now, updated_at=now
    )
    for batch in {job.batch_id for job in jobs if job.batch_id}:
        requests = [job.request_id for job in jobs if job.batch_id == batch]
        _forget_files(BatchFile.objects.filter(batch=batch, request_id__in=requests))
    erased_names.forget_pictures(jobs)
    # A picture that is gone isn't damaged any more.
    DamagedResult.objects.filter(job__in=keys).delete()


def _forget_files(files: "QuerySet[BatchFile]") -> None:
    files.update(
        name=Cast("number", CharField()),
        folder="",
        url="",
        fetch_after=None,
        message="",
        updated_at=timezone.now(),
    )


def _job_of_file() -> "QuerySet[Job]":
    return Job.objects.filter(team=OuterRef("batch__team"), request_id=OuterRef("request_id"))
