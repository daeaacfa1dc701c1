"""Where a job's files lie, and how one gets there so that it survives a power cut."""

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from jobs.models import Job

SPOOL_KEPT_SECONDS = 24 * 60 * 60


def new_source_name(team_slug: str, extension: str) -> str:
    """A folder of its own for each job, so that no name is ever taken."""
    return f"{team_slug}/{uuid4().hex}/source.{extension}"


def result_name(job: Job, attempt_number: int) -> str:
    """Beside the source, one a call: after a crash its presence says that the body arrived whole."""
    folder = str(job.source.name).rpartition("/")[0]
    return f"{folder}/result-{attempt_number}.png"


def spool(chunks: Iterable[bytes]) -> TemporaryUploadedFile:
    """The chunks in a temporary file; the caller closes it."""
    file = TemporaryUploadedFile("spool", None, 0, None)
    try:
        for chunk in chunks:
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    return file


def put(name: str, file: TemporaryUploadedFile) -> str:
    """Store a temporary file, whole or not at all, and on the disk when this returns its name.

    The file system's storage moves a temporary file into place by a rename; others upload it.
    """
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    stored = default_storage.save(name, file)
    if hasattr(default_storage, "location"):
        _sync_folder(Path(default_storage.path(stored)).parent)
    return stored


def sha256(file: "File[bytes]") -> str:
    """Hex digest of a temporary or stored file."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def sweep_spool() -> None:
    """Remove temporary files that a killed process left behind a day ago or earlier."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        with suppress(FileNotFoundError):  # put in place, or removed by whoever it belongs to
            if path.is_file() and time.time() - path.stat().st_mtime > SPOOL_KEPT_SECONDS:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once the folder that records it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
