"""Take in one file of a batch: its bytes are here, and it becomes a job or a problem that everybody sees."""

from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils.translation import gettext as _

from accounts.models import Team, User
from jobs.batches.register import record_problem
from jobs.intake import full_disk
from jobs.intake.forms import UploadForm, UploadRefusedError
from jobs.intake.submit import RemovedError, RequestReusedError, StorageFullError, Upload, submit
from jobs.models import BatchFile, Job
from jobs.storage import files
from pixian.protocol.options import Options

Problem = BatchFile.Problem
TEST = Options.normalize({"test": "true"})

PROBLEMS = {
    HTTPStatus.BAD_REQUEST: Problem.UNREADABLE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Problem.TOO_LARGE,
}
"""What a refusal says about the picture itself. Any other is ours, and the same file may be sent again."""


def receive(file: BatchFile, user: User, picture: TemporaryUploadedFile) -> Job:
    """Submit a file of a batch, which waits if there are no credits for it; repeating it is harmless.

    Raises UploadRefusedError, never with 409: to the page's script that means that a chunk is missing, and to
    send it again. A refusal that is about the picture is recorded in the file's row.
    """
    check_not_removed(file)
    _check_unchanged(file, picture)
    with full_disk.refusing(), closing(_checked(file, picture)) as upload:
        job = _submit(file, user, upload)
    _forget_problem(file)
    return job


def check_not_removed(file: BatchFile) -> None:
    """Raise UploadRefusedError if a person has removed the file from its batch."""
    if file.problem == Problem.REMOVED:
        raise _removed()


def submit_test(team: Team, user: User, request_id: UUID, picture: TemporaryUploadedFile) -> Job:
    """Submit a picture as a free test, whose result has a watermark; raise UploadRefusedError."""
    form = UploadForm({"request_id": request_id})
    with full_disk.refusing(), closing(form.upload(picture, team.pk)) as upload:
        try:
            return submit(team, user, replace(upload, options=TEST, test=True))
        except StorageFullError as error:
            raise _storage_full() from error


def _check_unchanged(file: BatchFile, picture: TemporaryUploadedFile) -> None:
    if not file.sha256 or files.sha256(picture) == file.sha256:
        return
    message = _("This file has changed since it was chosen. Nothing was stored; choose it again.")
    record_problem(file, Problem.CHANGED, message)
    raise UploadRefusedError(message, HTTPStatus.UNPROCESSABLE_ENTITY)


def _checked(file: BatchFile, picture: TemporaryUploadedFile) -> Upload:
    form = UploadForm({"request_id": file.request_id, "batch": file.batch_id})
    try:
        upload = form.upload(picture, file.batch.team_id)
    except UploadRefusedError as error:
        if problem := PROBLEMS.get(HTTPStatus(error.status)):
            record_problem(file, problem, error.message)
        raise
    return replace(upload, number=file.number, folder=file.folder, name=file.name)


def _submit(file: BatchFile, user: User, upload: Upload) -> Job:
    try:
        return submit(file.batch.team, user, upload, keep=True)
    except RequestReusedError as error:
        message = _(
            "Another picture was already uploaded under this request number. Reload the page, then "
            "upload this one again."
        )
        raise UploadRefusedError(message, HTTPStatus.UNPROCESSABLE_ENTITY) from error
    except RemovedError as error:
        raise _removed() from error
    except StorageFullError as error:
        raise _storage_full() from error


def _removed() -> UploadRefusedError:
    message = _("This picture was removed from the batch in the meantime. Nothing was stored.")
    return UploadRefusedError(message, HTTPStatus.GONE)


def _storage_full() -> UploadRefusedError:
    message = _(
        "The team's storage is full, so nothing was stored and no credits were held. Delete pictures, or ask "
        "the people who run this site for more."
    )
    return UploadRefusedError(message, HTTPStatus.INSUFFICIENT_STORAGE)


def _forget_problem(file: BatchFile) -> None:
    """Let a file that was refused before, and is accepted now, be no problem any more."""
    if file.problem or file.fetch_after:
        file.problem, file.message, file.fetch_after = "", "", None
        file.save(update_fields=["problem", "message", "fetch_after", "updated_at"])
