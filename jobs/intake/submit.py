"""Submit a picture from a browser or an API call: store its source, hold its credits, queue its job."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import DataError, IntegrityError, transaction
from django.db.models import Exists
from django.utils import timezone

from accounts.ledger.operations import LedgerError
from accounts.models import ApiKey, Team, User
from jobs import plain_sql
from jobs.calls import attempts, kept_jobs
from jobs.models import Attempt, Batch, BatchFile, Job
from jobs.queue import claims, concurrency, notify
from jobs.queue.claims import CallLimitError
from jobs.storage import files
from pixian.imaging.decode import Header

log = structlog.get_logger(__name__)

REMEMBERED = timedelta(hours=24)
"""An idempotency key may stand for another request afterwards."""


class RequestReusedError(Exception):
    """The request's id came before, with another picture or other options."""


class StorageFullError(Exception):
    """The team stores as much as it may. Nothing was stored."""


class RemovedError(Exception):
    """Somebody deleted the batch, or took the file off it, in the meantime. Nothing was stored."""


class NotFailedError(Exception):
    """Only a failed job can be retried."""


NOTHING_WRITTEN = (LedgerError, IntegrityError, DataError, CallLimitError, RemovedError)
"""After these surely no row was written. After any other error the row may exist and only its confirmation be
lost; the client then repeats its request and gets that job."""


@dataclass(frozen=True)
class Upload:
    """A picture that was checked when it came.

    request_id: made by the client before its first try, so that a repeated request is one job.
    batch: the drop that it belongs to, with its place in it and its folder; None for a program's call.
    options: the contract's form fields, as the upstream gets them. test: as they say.
    ignored: the names of fields that aren't options.
    original: what came, if ``file`` was made from it, and the ending of its name.
    fingerprint: all that tells one API request from another except its picture; "" if it may not be repeated.
    """

    file: TemporaryUploadedFile
    header: Header
    name: str
    request_id: UUID
    batch: UUID | None = None
    number: int = 0
    folder: str = ""
    origin: Job.Origin = Job.Origin.BROWSER
    options: Mapping[str, str] = field(default_factory=dict)
    test: bool = False
    ignored: Sequence[str] = ()
    original: TemporaryUploadedFile | None = None
    original_ending: str = ""
    fingerprint: str = ""

    @property
    def request_sha256(self) -> str:
        return hashlib.sha256(self.fingerprint.encode()).hexdigest() if self.fingerprint else ""

    def close(self) -> None:
        """Remove the temporary file, unless it was stored."""
        self.file.close()


def submit(team: Team, user: User, upload: Upload, *, keep: bool = False) -> Job:
    """Return the queued job, its credits held, or the first job if the request is a repeat.

    keep: store a picture that there are no credits for; ``jobs.batches.control`` starts it once there are.
    Otherwise raises what ``ledger.hold`` raises. Raises RequestReusedError, RemovedError and
    StorageFullError; nothing is stored then.
    """
    priority = Job.Priority.TEST if upload.test else Job.Priority.BATCH
    job = _new_job(upload, team=team, created_by=user, priority=priority)
    try:
        with _stored_source(job, upload):
            if keep:
                _queue_or_keep(job, user)
            else:
                _queue(job, user)
    except (IntegrityError, StorageFullError):
        # Asked only now, since hardly any browser repeats a request.
        if first := _find_first(job, upload):
            return first
        raise
    log.info("submitted", job=job.pk, team=team.slug, state=job.state)
    return job


def submit_and_claim(key: ApiKey, upload: Upload, worker: str, until: float) -> tuple[Job, Attempt | None]:
    """Return an API call's job, claimed by ``worker``, and its attempt; the first job and None for a repeat.

    until: on the monotonic clock, how long to wait for a free call.
    Raises CallLimitError besides what ``submit`` raises; nothing is kept then.
    """
    job = _new_job(upload, team=key.team, created_by=key.owner, api_key=key, priority=Job.Priority.API)
    if first := _find_first(job, upload):
        return first, None
    try:
        with _stored_source(job, upload):
            return job, _begin_when_free(job, worker, until)
    except (IntegrityError, CallLimitError):
        # The same request was sent twice at once, and the other one was faster.
        if first := _find_first(job, upload):
            return first, None
        raise


@transaction.atomic
def submit_again(job: Job, user: User) -> None:
    """Queue a failed job again, as a new attempt with a hold of its own.

    Raises NotFailedError, and what ``ledger.hold`` raises.
    """
    paused = job.batch_id is not None and _lock_batch(job.batch_id).paused_at is not None
    if job.is_direct or not claims.requeue(job, user, paused=paused):
        raise NotFailedError(str(job.pk))
    attempts.prepare(job, user)
    notify.after_commit()


@transaction.atomic
def _queue(job: Job, user: User) -> None:
    job.save(force_insert=True)
    attempts.prepare_test(job) if job.test else attempts.prepare_first(job, user)
    notify.after_commit()


def _queue_or_keep(job: Job, user: User) -> None:
    """Queue the job, or store it until there are credits for it."""
    try:
        with claims.writing():
            if not _has_to_wait(job, user):
                return _queue(job, user)
    except LedgerError:
        job.pk = None
    job.state = Job.State.KEPT
    with claims.writing():
        _lock_batch_that_waits(job)
        job.save(force_insert=True)
    return None


def _has_to_wait(job: Job, user: User) -> bool:
    """Tell if the batch is paused, or others of the person's pictures wait already; lock the batch's row."""
    batch, others_wait = _lock_batch_that_waits(job)
    return bool(batch.paused_at or (others_wait and kept_jobs.ahead(job.team_id, user.pk).exists()))


def _lock_batch_that_waits(job: Job) -> tuple[Batch, bool]:
    """Lock the row of a new job's batch; return it, and True if others of its author's pictures are kept.

    Raises RemovedError if the batch doesn't wait for this file any more.
    """
    batch = _lock_batch(job.batch_id)
    removed = batch.files.filter(request_id=job.request_id, problem=BatchFile.Problem.REMOVED)
    waiting = Job.objects.kept_by(job.team_id, job.created_by_id)
    # Both in one statement, after the one that may have waited for the lock.
    its_row = Batch.objects.filter(pk=batch.pk).values_list(Exists(removed), Exists(waiting))
    is_removed, others_wait = its_row.get()
    if batch.erased_at or is_removed:
        raise RemovedError(str(job.request_id))
    return batch, others_wait


def _lock_batch(batch_id: UUID | None) -> Batch:
    """Lock the batch's row, so that it isn't paused, deleted or found finished meanwhile, and read it."""
    batches = Batch.objects.select_for_update(no_key=True).only("paused_at", "finished_at", "erased_at")
    batch: Batch = batches.get(pk=str(batch_id))
    if batch.finished_at:
        claims.reopen(batch.pk)
    return batch


def _begin_when_free(job: Job, worker: str, until: float) -> Attempt:
    refused = False
    while True:
        with concurrency.call_limit.turn(job.team_id, until, refused=refused):
            try:
                return _begin(job, worker)
            except CallLimitError:  # another call was faster
                job.pk, refused = None, True


@claims.writing()
def _begin(job: Job, worker: str) -> Attempt:
    for name, value in claims.claim_columns(worker).items():
        setattr(job, name, value)
    plain_sql.insert(job)
    attempt = attempts.prepare_test(job) if job.test else attempts.prepare_first(job, job.created_by)
    claims.admit()
    return attempt


def _new_job(upload: Upload, **owners: Any) -> Job:
    header = upload.header
    job = Job(
        **owners,
        request_id=upload.request_id,
        request_sha256=upload.request_sha256,
        batch_id=upload.batch,
        number=upload.number,
        folder=upload.folder,
        name=upload.name,
        origin=upload.origin,
        options=dict(upload.options),
        test=upload.test,
        ignored=list(upload.ignored),
        source_sha256=files.sha256(upload.file),
        source_bytes=upload.file.size or 0,
        content_type=header.content_type,
        width=header.width,
        height=header.height,
    )
    job.source.name = files.new_source_name(job.team.slug, header.format.lower())
    if upload.original:
        job.original.name = files.original_name(job, upload.original_ending)
        job.original_bytes = upload.original.size
        job.original_sha256 = files.sha256(upload.original)
    job.estimated_microcredits = 0 if job.test else attempts.estimate(job.priced_pixels)
    return job


@contextmanager
def _stored_source(job: Job, upload: Upload) -> Iterator[None]:
    """Store a job's source while its rows are written inside; delete it if surely no row was.

    What it was made from is stored beside it. The files come first, so that no row is ever without its files.
    A crash in between leaves files that no row names, which ``storage.quarantine`` finds.
    """
    if job.team.storage_full:
        raise StorageFullError(job.team.slug)
    names = _put_files(job, upload)
    try:
        yield
    except NOTHING_WRITTEN:
        for name in names:
            with suppress(files.StorageUnavailableError):  # the user shall learn why there is no job
                default_storage.delete(name)
        raise


def _put_files(job: Job, upload: Upload) -> list[str]:
    """Store the source, and what it was made from, if that is another file; return their names."""
    names = [files.put(str(job.source.name), upload.file)]
    job.source.name = names[0]
    if upload.original:
        try:
            names.append(files.put(str(job.original.name), upload.original))
        except OSError:
            default_storage.delete(names[0])
            raise
        job.original.name = names[1]
    return names


def _find_first(job: Job, upload: Upload) -> Job | None:
    """Return the team's job that the same request has made before; raises RequestReusedError.

    None for an API call without an idempotency key, and for one whose key was last used a day ago.
    """
    if job.is_direct and not upload.fingerprint:
        return None
    first = Job.objects.filter(team=job.team, request_id=upload.request_id).first()
    if first is None:
        return None
    if job.is_direct and first.created_at < timezone.now() - REMEMBERED:
        Job.objects.filter(pk=first.pk, request_id=upload.request_id).update(request_id=uuid4())
        return None
    if (first.source_sha256, first.request_sha256) != (job.source_sha256, job.request_sha256):
        raise RequestReusedError(str(first.request_id))
    return first
