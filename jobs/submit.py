"""The only way in, for browser and programs alike: store the source, then hold and queue in one go."""

from dataclasses import dataclass
from uuid import UUID

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import IntegrityError, transaction

from accounts.ledger import LedgerError
from accounts.models import Team, User
from jobs import attempts, files, queue, wake
from jobs.models import Job
from pixian.picture import Header


class RequestReusedError(Exception):
    """The request's id came before, with another picture."""


class NotFailedError(Exception):
    """Only a failed job can be tried again."""


@dataclass(frozen=True)
class Upload:
    """A picture that the form has passed.

    request_id: made by the sender before the first try, so that a repeated request is one job.
    batch: groups what was dropped together.
    priority: among the team's own jobs.
    """

    file: TemporaryUploadedFile
    header: Header
    name: str
    request_id: UUID
    batch: UUID
    priority: Job.Priority = Job.Priority.BATCH


def submit(team: Team, user: User, upload: Upload) -> Job:
    """The queued job, its credits held; the job of the first time where the request is a repetition.

    Raises what ``ledger.hold`` raises, and RequestReusedError; nothing is kept then. The file is stored
    first, so that no row is ever without its file; a crash in between leaves a file that no row names.
    """
    digest = files.sha256(upload.file)
    known = Job.objects.filter(team=team, request_id=upload.request_id)
    if first := known.first():
        return _same(first, digest)
    name = files.put(files.new_source_name(team.slug, upload.header.format.lower()), upload.file)
    try:
        return _queue(team, user, upload, name, digest)
    except (LedgerError, IntegrityError) as error:
        # These were surely undone. After any other failure the row may be there, only its confirmation lost,
        # and the sender comes back for it.
        default_storage.delete(name)
        if isinstance(error, IntegrityError) and (first := known.first()):
            return _same(first, digest)
        raise


@transaction.atomic
def submit_again(job: Job, user: User) -> None:
    """A failed job once more, as a new attempt with its own hold; raises NotFailedError and what
    ``ledger.hold`` raises."""
    if not queue.requeue(job):
        raise NotFailedError(str(job.pk))
    attempts.prepare(job, user)
    wake.after_commit()


@transaction.atomic
def _queue(team: Team, user: User, upload: Upload, name: str, digest: str) -> Job:
    job = Job.objects.create(
        team=team,
        created_by=user,
        request_id=upload.request_id,
        batch=upload.batch,
        priority=upload.priority,
        name=upload.name,
        source=name,
        source_sha256=digest,
        source_bytes=upload.file.size or 0,
        content_type=upload.header.content_type,
        width=upload.header.width,
        height=upload.header.height,
        estimated_microcredits=attempts.estimate(upload.header.pixels),
    )
    attempts.prepare(job, user)
    wake.after_commit()
    return job


def _same(first: Job, digest: str) -> Job:
    if first.source_sha256 != digest:
        raise RequestReusedError(str(first.request_id))
    return first
