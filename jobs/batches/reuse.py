"""Offer the cut-outs that a team already has: the same picture costs nothing a second time."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from accounts.models import Team, User
from jobs import plain_sql, usage_days
from jobs.batches import register
from jobs.events import outbox
from jobs.models import Batch, BatchFile, Job
from jobs.queue import claims
from jobs.renditions import apply
from pixian.protocol.options import Options

COPIED = (
    *("original", "original_sha256", "source", "source_sha256", "source_bytes", "content_type"),
    *("width", "height", "options", "result", "result_sha256", "result_bytes"),
)
"""A job's columns that say what its files are. The files themselves are shared, not copied."""


def earlier(team: Team, sha256s: Collection[str]) -> dict[str, Job]:
    """Return the latest job with a master for each of these pictures that the team has cut out."""
    done = Job.objects.filter(team=team, state=Job.State.DONE, test=False)
    whole = done.filter(erased_at=None, damage=None, reused_from__damage=None).select_related("reused_from")
    found = {}
    for column in ("source_sha256", "original_sha256"):  # of what was stored, and of what that was made from
        for job in whole.filter(**{f"{column}__in": sha256s}).order_by("pk"):
            if _has_master(job):
                found[getattr(job, column)] = job
    return found


def use_again(batch: Batch, user: User, request_ids: Sequence[UUID]) -> list[UUID]:
    """Finish those of the batch's files that were cut out before, at 0 credits; return which have a job now.

    Repeating it is harmless. A file that is uploaded at the same time becomes one job, whichever comes first.
    """
    files = register.missing(batch).filter(request_id__in=request_ids).exclude(sha256="")
    known = earlier(batch.team, {file.sha256 for file in files})
    with claims.writing():
        claims.reopen(batch.pk)
        there = _still_there(known.values())
        known = {sha256: job for sha256, job in known.items() if job.pk in there}
        still_missing = files.all()  # read again, now that none can be taken off the batch
        jobs = [_job(file, batch, user, known[file.sha256]) for file in still_missing if file.sha256 in known]
        # One by one, since only those that weren't uploaded in the same moment are counted.
        new = [job for job in jobs if plain_sql.insert_if_new(job)]
        usage_days.count_reuses(new)
        if outbox.is_heard(batch.team_id):
            for job in new:
                outbox.job_finished(job, Job.State.DONE, "")
    if batch.outputs:
        for job in Job.objects.filter(batch=batch, request_id__in=[job.request_id for job in jobs]):
            apply.follow(job)
    return register.uploaded(batch, request_ids)


def _still_there(jobs: Iterable[Job]) -> set[int]:
    """Return the keys of those that nobody has erased, or can erase before this transaction ends.

    The rows that ``jobs.retention.erase`` locks first are locked, and read again in a statement after that.
    """
    jobs = list(jobs)
    roots = Job.objects.filter(pk__in={job.reused_from_id or job.pk for job in jobs}).order_by("pk")
    list(roots.select_for_update(no_key=True).values_list("pk", flat=True))
    there = Job.objects.filter(pk__in=[job.pk for job in jobs], erased_at=None)
    return set(there.values_list("pk", flat=True))


def _has_master(job: Job) -> bool:
    """Tell if it is a browser's plain cut-out in the picture's own frame, from which every style is made."""
    # Asked here, because SQLite would look through all of the team's browser jobs for it.
    if job.origin != Job.Origin.BROWSER:
        return False
    options = Options.parse(job.options)
    is_whole = options.keeps_frame(job.width, job.height) and options.fill_color is None
    return is_whole and options.max_pixels == Options.max_pixels


def _job(file: BatchFile, batch: Batch, user: User, source: Job) -> Job:
    return Job(
        team=batch.team,
        created_by=user,
        batch=batch,
        request_id=file.request_id,
        number=file.number,
        name=file.name,
        folder=file.folder,
        state=Job.State.DONE,
        estimated_microcredits=0,
        reused_from=source.reused_from or source,
        **{name: getattr(source, name) for name in COPIED},
    )
