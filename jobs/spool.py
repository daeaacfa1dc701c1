"""Temporary files that results are written to: room before the call, more once the size is known, and what a
crash leaves.

The rule for room. A call is sent only if the file system that holds the results has, at that moment,

1. the size that such a result usually has, which is taken at once (``posix_fallocate``), and
2. free space for whatever this call and those under way may need beyond that. The worst case of a single call
   is always covered. What all together may need is covered up to ``MOST_GROWTH``: a hundred large calls whose
   results all turn out to be noise would otherwise ask for gigabytes that they never use.

So while the calls under way may grow by less than ``MOST_GROWTH``, no paid result can find the disk filled by
another one. Once the headers say how long a body is, room for exactly that is taken. If it isn't there
because something else filled the disk, the body goes to ``SPOOL_ASIDE_DIR``, if that is another file system;
if that is full too, the call waits a while for room before its body is given up.

A result's file is named after its job's folder and its attempt, and stays when its process dies, so that the
worker that takes the job up finds a body that had arrived whole.
"""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

from jobs.models import Attempt, Job
from pixian import layout
from pixian.errors import Refused
from pixian.options import Format, Options

log = structlog.get_logger(__name__)

NAME = ".spool"
"""In the storage's folder, so that a finished body is put in place by a rename, whatever volume that is."""

KEPT_SECONDS = 60 * 60  # above any call, with a database that restarts meanwhile
WORST_BYTES_PER_PIXEL = 5  # four channels, and what a PNG adds to noise
# The contract's own example has 0.82 bytes a pixel as PNG and 0.22 as delta PNG (§ 6).
USUAL_BYTES_PER_PIXEL = {Format.PNG: 1.0, Format.JPEG: 0.5, Format.DELTA_PNG: 0.5}
ANY_SIZE = 1024 * 1024  # what doesn't depend on the pixels, such as a profile
MOST_GROWTH = 512 * 1024 * 1024
ROOM_TO_SPARE = 16 * 1024 * 1024  # for the database and the other files of this job
ROOM_WAIT_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.5
FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoomError(Exception):
    """The disk has no room for a result. Nothing was sent."""


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
        self.close()
        self.path.unlink()
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


def room_for(job: Job) -> tuple[int, int]:
    """Bytes that the result of a job usually has, and that it has at worst."""
    options = Options.parse(job.options).heeded()
    try:
        pixels = layout.most_pixels((job.width, job.height), options)
    except Refused:  # the upstream refuses it too
        pixels = job.priced_pixels
    if options.target_size is None and options.margin == Options.margin:
        pixels = min(pixels, job.priced_pixels)
    usual = int(pixels * USUAL_BYTES_PER_PIXEL[options.output_format])
    return usual + ANY_SIZE, pixels * WORST_BYTES_PER_PIXEL + ANY_SIZE


@contextmanager
def reserved(job: Job, number: int) -> Iterator[ResultFile]:
    """A file with room for the result of a job's attempt, before it is paid for.

    Raises NoRoomError if the disk is too full. The file is removed in the end, unless it was stored or is
    still wanted.
    """
    usual, worst = room_for(job)
    file: ResultFile | None = None
    try:
        file = ResultFile.create(folder(), stem_of(job, number), worst)
        _admit(file, usual)
    except OSError as error:
        _remove(file)
        raise NoRoomError(str(error)) from error
    with held(file):
        yield file


@contextmanager
def held(file: ResultFile) -> Iterator[None]:
    """Close a file in the end, and remove it unless it is still wanted or was stored."""
    try:
        yield
    finally:
        if file.is_wanted:
            file.close()
        else:
            _remove(file)


def make_room(file: ResultFile, length: int | None, most: int) -> None:
    """Take room for a paid body before it is read, elsewhere if need be.

    length: None if the headers don't say. most: bytes that a body may have.
    """
    size = min(length or file.worst, most)
    until = time.monotonic() + (ROOM_WAIT_SECONDS if length else 0)
    while not (_fits(file, size) or _fits_aside(file, size)):
        if time.monotonic() >= until:
            log.error("the disk may be too full for a paid result", bytes=size, file=str(file.path))
            return
        time.sleep(LOOK_AGAIN_SECONDS)


def write(file: TemporaryUploadedFile, chunk: bytes) -> None:
    """Append to a body, waiting a while for room on a full disk. Raises OSError if none comes."""
    place, until = file.tell(), time.monotonic() + ROOM_WAIT_SECONDS
    while True:
        try:
            file.seek(place)  # a part of the chunk may have been written
            file.write(chunk)
            file.flush()
        except OSError as error:
            if error.errno not in FULL or time.monotonic() >= until:
                raise
            time.sleep(LOOK_AGAIN_SECONDS)
        else:
            return


def allocate(descriptor: int, size: int) -> None:
    """Take room on the disk; if the system can't reserve any, the room that is there now has to do."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(folder()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _admit(file: ResultFile, usual: int) -> None:
    # The file is there before the others are counted, so two that come at once see each other.
    file.allocate(usual)
    own = _growth(file.path)
    together = sum(map(_growth, _young_results(file.path.parent)))
    needed = max(own, min(together, MOST_GROWTH)) + ROOM_TO_SPARE
    if shutil.disk_usage(file.path.parent).free < needed:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed")


def _growth(path: Path) -> int:
    """How many bytes a result may still need."""
    try:
        return max(0, int(path.name.split(".")[1]) - path.stat().st_blocks * 512)
    except FileNotFoundError:  # stored meanwhile
        return 0


def _young_results(place: Path) -> Iterator[Path]:
    for path in place.glob("result-*.*.*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < KEPT_SECONDS:
                yield path


def _fits(file: ResultFile, size: int) -> bool:
    try:
        file.allocate(size)
    except OSError as error:
        if error.errno not in FULL:
            raise
        return False
    return True


def _fits_aside(file: ResultFile, size: int) -> bool:
    aside = _aside()
    if aside is None or aside.stat().st_dev == file.path.stat().st_dev:
        return False
    if shutil.disk_usage(aside).free < size + ROOM_TO_SPARE:
        return False
    file.move_to(aside)
    return _fits(file, size)


def _aside() -> Path | None:
    with suppress(OSError):
        return _made(Path(settings.SPOOL_ASIDE_DIR))
    return None


def places() -> list[Path]:
    uploads, aside = Path(settings.FILE_UPLOAD_TEMP_DIR), _aside()
    return list(dict.fromkeys([folder(), uploads, *([aside] if aside else [])]))


def body_length(attempt: Attempt) -> int | None:
    """How many bytes the body has, by its recorded headers; None if they don't say."""
    headers = {name.lower(): value for name, value in attempt.headers}
    text = headers.get("content-length", "")
    return int(text) if "content-encoding" not in headers and text.isascii() and text.isdigit() else None


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


def _remove(file: ResultFile | None) -> None:
    if file is not None:
        file.close()
        file.path.unlink(missing_ok=True)
