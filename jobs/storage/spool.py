"""Where results are written before they are stored: temporary files that outlive their process.

A result's file is named after its job's folder and its attempt, and stays when its process dies, so that the
worker that takes the job up finds a body that had arrived whole.
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
"""In the storage's folder, so that a finished body is put in place by a rename, whatever volume that is."""

KEPT_SECONDS = 60 * 60  # above any call, with a database that restarts meanwhile
MAX_LENGTH_DIGITS = 15
FULL = (errno.ENOSPC, errno.EDQUOT)


class ResultFile(TemporaryUploadedFile):
    """A file in a spool folder that has room for ``worst`` bytes to come. Closing it leaves it there.

    is_wanted: the body is whole and paid, so that the file stays until it is stored.
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
        """Begin anew in another folder; nothing has been written yet."""
        other = _new_file(place, self.path.name.split(".")[0], self.worst)
        remove(self)
        self.file = cast("IO[bytes]", other)

    def allocate(self, size: int) -> None:
        """Take room for so many bytes. Raises OSError if the disk hasn't got it."""
        allocate(self.fileno(), size)


def root() -> Path | None:
    """The folder of the storage; None if it isn't a folder of ours."""
    try:
        return Path(default_storage.path(""))
    except NotImplementedError:
        return None


def folder() -> Path:
    """The folder that results are written in before they are stored."""
    here = root()
    if here is None:  # what is uploaded from here may lie anywhere
        return Path(settings.FILE_UPLOAD_TEMP_DIR)
    return _made(here / NAME)


@contextmanager
def held(file: ResultFile) -> Iterator[None]:
    """Close a file in the end, and remove it unless it is still wanted or was stored."""
    try:
        yield
    finally:
        if file.is_wanted:
            file.close()
        else:
            remove(file)


def allocate(descriptor: int, size: int) -> None:
    """Take room on the disk; if the system can't reserve any, the room that is there now has to do."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(folder()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def aside() -> Path | None:
    """The folder for paid results that find no room in the storage; None if it can't be made."""
    with suppress(OSError):
        return _made(Path(settings.SPOOL_ASIDE_DIR))
    return None


def places() -> list[Path]:
    """Every folder that temporary files may lie in, each once."""
    uploads, other = Path(settings.FILE_UPLOAD_TEMP_DIR), aside()
    return list(dict.fromkeys([folder(), uploads, *([other] if other else [])]))


def body_length(attempt: Attempt) -> int | None:
    """How many bytes the body has, by its recorded headers; None if they don't say."""
    headers = {name.lower(): value for name, value in attempt.headers}
    text = headers.get("content-length", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS
    return int(text) if is_number and "content-encoding" not in headers else None


def _made(place: Path) -> Path:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def stem_of(job: Job, number: int) -> str:
    """By the source's folder, which no other job has in any database, unlike a primary key."""
    return f"result-{Path(str(job.source.name)).parent.name}-{number}"


def stem_by(result: str) -> str:
    """The same, by the name that the result is stored under (``files.result_name``)."""
    path = Path(result)
    return f"result-{path.parent.name}-{path.stem.rpartition('-')[2]}"


def _new_file(place: Path, stem: str, worst: int) -> BinaryIO:
    made = tempfile.NamedTemporaryFile(prefix=f"{stem}.{worst}.", dir=place, delete=False)  # noqa: SIM115
    return cast("BinaryIO", made)


def remove(file: ResultFile | None) -> None:
    if file is not None:
        with suppress(OSError):  # what it still had to write finds no room
            file.close()
        file.path.unlink(missing_ok=True)
