"""Write results to temporary files that outlive their process, until they are stored.

A result's file is named after its job's folder and its attempt, and stays when its process dies. The worker
that takes over the job then finds a body that had arrived completely.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

from jobs.models import Attempt, Job

NAME = ".spool"
"""In the storage's folder, so that a finished body can be renamed into place, whatever volume that is on."""

KEPT_SECONDS = 60 * 60  # longer than any call, even if the database restarts meanwhile
MAX_LENGTH_DIGITS = 15
FULL = (errno.ENOSPC, errno.EDQUOT)


class ResultFile(TemporaryUploadedFile):
    """A file in a spool folder for a body of up to ``worst`` bytes. Closing it doesn't delete it.

    ``is_wanted``: the body is complete and paid for, so the file stays until it is stored.
    """

    def __init__(self, file: BinaryIO, worst: int = 0) -> None:
        UploadedFile.__init__(self, cast("IO[bytes]", file), "result", None, 0, None)
        self.worst = worst
        self.is_wanted = False

    @classmethod
    def create(cls, place: Path, stem: str, worst: int) -> Self:
        return cls(_new_file(place, stem, worst), worst)

    @property
    def path(self) -> Path:
        return Path(self.temporary_file_path())

    def move_to(self, place: Path) -> None:
        """Start over in another folder; call this before anything is written."""
        other = _new_file(place, self.path.name.split(".")[0], self.worst)
        remove(self)
        self.file = cast("IO[bytes]", other)

    def allocate(self, size: int) -> None:
        allocate(self.fileno(), size)


def root() -> Path | None:
    """Return the storage's folder, or None for a storage that isn't a local folder."""
    try:
        return Path(default_storage.path(""))
    except NotImplementedError:
        return None


def folder() -> Path:
    """Return the folder that results are written to before they are stored."""
    here = root()
    if here is None:  # results are uploaded, so any local folder will do
        return Path(settings.FILE_UPLOAD_TEMP_DIR)
    return _made(here / NAME)


@contextmanager
def cleaning_up(file: ResultFile) -> Iterator[None]:
    """Close the file on exit, and remove it unless it is still wanted or was stored."""
    try:
        yield
    finally:
        if file.is_wanted:
            file.close()
        else:
            remove(file)


def allocate(descriptor: int, size: int) -> None:
    """Preallocate disk space; raise OSError if there isn't enough.

    If the system can't preallocate, only the space that is free now is checked.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(folder()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def aside() -> Path | None:
    """Return the folder for paid results that don't fit the storage's volume, or None without one."""
    with suppress(OSError):
        return _made(Path(settings.SPOOL_ASIDE_DIR))
    return None


def places() -> list[Path]:
    """Return every folder that may hold temporary files, each once."""
    uploads, other = Path(settings.FILE_UPLOAD_TEMP_DIR), aside()
    return list(dict.fromkeys([folder(), uploads, *([other] if other else [])]))


def body_length(attempt: Attempt) -> int | None:
    """Return the length of the body by its recorded headers, or None if they don't state it."""
    headers = {name.lower(): value for name, value in attempt.headers}
    text = headers.get("content-length", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS
    return int(text) if is_number and "content-encoding" not in headers else None


def _made(place: Path) -> Path:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def stem_of(job: Job, number: int) -> str:
    """Return the start of the file name of an attempt's result.

    It is made from the source's folder, which no other job has in any database, unlike a primary key.
    """
    return f"result-{Path(str(job.source.name)).parent.name}-{number}"


def stem_by(result: str) -> str:
    """Return the same from the name that the result is stored under (``files.result_name``)."""
    path = Path(result)
    return f"result-{path.parent.name}-{path.stem.rpartition('-')[2]}"


def _new_file(place: Path, stem: str, worst: int) -> BinaryIO:
    made = tempfile.NamedTemporaryFile(prefix=f"{stem}.{worst}.", dir=place, delete=False)  # noqa: SIM115
    return cast("BinaryIO", made)


def remove(file: ResultFile | None) -> None:
    if file is not None:
        with suppress(OSError):  # closing flushes, and the disk may be full
            file.close()
        file.path.unlink(missing_ok=True)
