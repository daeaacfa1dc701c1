"""The only way in, for browser and programs alike: store the source, then hold and queue in one go."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from accounts import rate_limits
from accounts.ledger.operations import LedgerError
from accounts.models import ApiKey, Team, User
from accounts.rate_limits import Bound, TooFastError
from jobs.calls import attempts
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency, notify
from jobs.queue.claims import CallLimitError
from jobs.storage import files
from pixian.imaging.decode import Header

REMEMBERED = timedelta(hours=24)
UNDONE = (LedgerError, IntegrityError, DataError, CallLimitError, TooFastError)
"""After these surely nothing was written. After any other failure the row may be there, only its confirmation
lost, and the sender comes back for it."""


class RequestReusedError(Exception):
    """The request's id came before, with another picture or other options."""


class NotFailedError(Exception):
    """Only a failed job can be tried again."""


@dataclass(frozen=True)
class Upload:
    """A picture that was checked when it came.

    request_id: made by the sender before the first try, so that a repeated request is one job.
    batch: groups what was dropped together.
    options: the contract's form fields, as they go to the upstream. test: as they say.
    ignored: the names of fields that aren't options.
    fingerprint: all but the picture that tells one request from another, as text; "" for none.
    """

    file: TemporaryUploadedFile
    header: Header
    name: str
    request_id: UUID
    batch: UUID
    origin: Job.Origin = Job.Origin.BROWSER
    options: Mapping[str, str] = field(default_factory=dict)
    test: bool = False
    ignored: Sequence[str] = ()
    fingerprint: str = ""

    @property
    def request_sha256(self) -> str:
        return hashlib.sha256(self.fingerprint.encode()).hexdigest() if self.fingerprint else ""


def submit(team: Team, user: User, upload: Upload) -> Job:
    """The queued job, its credits held; the job of the first time where the request is a repetition.

    Raises what ``ledger.hold`` raises, and RequestReusedError; nothing is kept then.
    """

    return _store_and_write(Job(team=team, created_by=user), upload, partial(_queue, user=user))[0]


def submit_and_claim(
    key: ApiKey, upload: Upload, bounds: list[Bound], worker: str, until: float
) -> tuple[Job, Attempt | None]:
    """A program's job, claimed by ``worker`` from the beginning, and the call to be made for it: the first
    time's job and None where the request is a repetition.

    bounds: by which the call is counted. until: on the monotonic clock, how long to wait for a free call.
    Raises TooFastError and NoSlotError besides what ``submit`` raises; nothing is kept then.
    """
    if upload.fingerprint:
        _forget_old_requests(key.team, upload)
    job = Job(team=key.team, created_by=key.owner, api_key=key, priority=Job.Priority.API)

    def write(job: Job) -> Attempt:
        refused = False
        while True:
            with concurrency.call_limit.turn(key.team_id, until, refused=refused):
                try:
                    return _begin(job, bounds, worker)
                except CallLimitError:  # others were faster
                    job.pk, refused = None, True

    return _store_and_write(job, upload, write)


@transaction.atomic
def submit_again(job: Job, user: User) -> None:
    """A failed job once more, as a new attempt with its own hold; raises NotFailedError and what
    ``ledger.hold`` raises."""
    if job.is_direct or not claims.requeue(job):
        raise NotFailedError(str(job.pk))
    attempts.prepare(job, user)
    notify.after_commit()


@transaction.atomic
def _queue(job: Job, user: User) -> Attempt:
    job.save(force_insert=True)
    attempt = attempts.prepare_first(job, user)
    notify.after_commit()
    return attempt


@transaction.atomic
def _begin(job: Job, bounds: list[Bound], worker: str) -> Attempt:
    rate_limits.take(*bounds)
    for name, value in claims.claim_columns(worker).items():
        setattr(job, name, value)
    job.save(force_insert=True)
    attempt = attempts.prepare_test(job) if job.test else attempts.prepare_first(job, job.created_by)
    claims.admit()
    return attempt


def _store_and_write(job: Job, upload: Upload, write: Callable[[Job], Attempt]) -> tuple[Job, Attempt | None]:
    """The file is stored first, so that no row is ever without its file; a crash in between leaves a file
    that no row names."""
    digest = files.sha256(upload.file)
    if first := _known(job.team, upload):
        return _same(first, upload, digest), None
    _fill(job, upload, digest)
    name = files.put(str(job.source.name), upload.file)
    job.source.name = name
    try:
        return job, write(job)
    except UNDONE as error:
        default_storage.delete(name)
        # The same request was sent twice at once, and the other one was faster.
        if isinstance(error, IntegrityError | CallLimitError) and (first := _known(job.team, upload)):
            return _same(first, upload, digest), None
        raise


def _fill(job: Job, upload: Upload, digest: str) -> None:
    job.request_id, job.request_sha256 = upload.request_id, upload.request_sha256
    job.batch, job.name, job.origin = upload.batch, upload.name, upload.origin
    job.options, job.test = dict(upload.options), upload.test
    job.ignored = list(upload.ignored)
    job.source.name = files.new_source_name(job.team.slug, upload.header.format.lower())
    job.source_sha256, job.source_bytes = digest, upload.file.size or 0
    job.content_type = upload.header.content_type
    job.width, job.height = upload.header.width, upload.header.height
    job.estimated_microcredits = 0 if job.test else attempts.estimate(job.priced_pixels)


def _known(team: Team, upload: Upload) -> Job | None:
    """The job that the same request has made before, in the same team. A program that gives its requests no
    key has made none."""
    if upload.origin != Job.Origin.BROWSER and not upload.fingerprint:
        return None
    return Job.objects.filter(team=team, request_id=upload.request_id).first()


def _same(first: Job, upload: Upload, digest: str) -> Job:
    if (first.source_sha256, first.request_sha256) != (digest, upload.request_sha256):
        raise RequestReusedError(str(first.request_id))
    return first


def _forget_old_requests(team: Team, upload: Upload) -> None:
    """After a day a program may use an idempotency key for something else."""
    old = Job.objects.filter(team=team, request_id=upload.request_id)
    old.filter(created_at__lt=timezone.now() - REMEMBERED).update(request_id=uuid4())
