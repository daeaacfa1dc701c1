"""Offer the cut-outs that a team already has: the same picture costs nothing a second time."""

from collections.abc import Collection, Sequence
from uuid import UUID

from accounts.models import Team, User
from jobs.batches import register
from jobs.models import Batch, BatchFile, Job
from jobs.queue import claims
from jobs.renditions import apply
from pixian.protocol.options import Options

COPIED = (
    *("original", "source", "source_sha256", "source_bytes", "content_type", "width", "height"),
    *("options", "result", "result_sha256", "result_bytes"),
)
"""A job's columns that say what its files are. The files themselves are shared, not copied."""


def earlier(team: Team, sha256s: Collection[str]) -> dict[str, Job]:
    """Return the latest job with a master for each of these pictures that the team has cut out."""
    done = Job.objects.filter(
        team=team, source_sha256__in=sha256s, state=Job.State.DONE, test=False, origin=Job.Origin.BROWSER
    )
    return {job.source_sha256: job for job in done.order_by("pk") if _has_master(job)}


def use_again(batch: Batch, user: User, request_ids: Sequence[UUID]) -> list[UUID]:
    """Finish those of the batch's files that were cut out before, at 0 credits; return which have a job now.

    Repeating it is harmless. A file that is uploaded at the same time becomes one job, whichever comes first.
    """
    files = list(register.missing(batch).filter(request_id__in=request_ids).exclude(sha256=""))
    known = earlier(batch.team, {file.sha256 for file in files})
    jobs = [_job(file, batch, user, known[file.sha256]) for file in files if file.sha256 in known]
    with claims.writing():
        Job.objects.bulk_create(jobs, ignore_conflicts=True)
    if batch.outputs:
        for job in Job.objects.filter(batch=batch, request_id__in=[job.request_id for job in jobs]):
            apply.follow(job)
    return register.uploaded(batch, request_ids)


def _has_master(job: Job) -> bool:
    """Tell if the result is the plain cut-out in the picture's own frame, from which every style is made."""
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
        reused_from_id=source.reused_from_id or source.pk,
        **{name: getattr(source, name) for name in COPIED},
    )
