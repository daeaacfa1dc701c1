"""Room on the disk for a result: before its call, and exactly as much once its size is known.

The rule for room. A call is sent only if the file system that holds the results has, at that moment,

1. the size that such a result usually has, which is taken at once (``posix_fallocate``), and
2. free space for whatever this call and those under way may need beyond that. The worst case of a single call
   is always covered. What all together may need is covered up to ``MOST_GROWTH``: a hundred large calls whose
   results all turn out to be noise would otherwise ask for gigabytes that they never use.

So while the calls under way may grow by less than ``MOST_GROWTH``, no paid result can find the disk filled by
another one. Once the headers say how long a body is, room for exactly that is taken. If it isn't there
because something else filled the disk, the body goes to ``SPOOL_ASIDE_DIR``, if that is another file system;
if that is full too, the call waits a while for room before its body is given up.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile

from jobs.models import Job
from jobs.storage import spool
from jobs.storage.spool import FULL, ResultFile
from pixian.imaging import layout
from pixian.protocol.errors import Refused
from pixian.protocol.options import Format, Options

log = structlog.get_logger(__name__)

WORST_BYTES_PER_PIXEL = 5  # four channels, and what a PNG adds to noise
# The contract's own example has 0.82 bytes a pixel as PNG and 0.22 as delta PNG (§ 6).
USUAL_BYTES_PER_PIXEL = {Format.PNG: 1.0, Format.JPEG: 0.5, Format.DELTA_PNG: 0.5}
ANY_SIZE = 1024 * 1024  # what doesn't depend on the pixels, such as a profile
MOST_GROWTH = 512 * 1024 * 1024
ROOM_TO_SPARE = 16 * 1024 * 1024  # for the database and the other files of this job
ROOM_WAIT_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.5


class InsufficientStorageError(Exception):
    """The disk has no room for a result. Nothing was sent."""


def room_for(job: Job) -> tuple[int, int]:
    """Bytes that the result of a job usually has, and that it has at worst."""
    options = Options.parse(job.options).effective()
    try:
        pixels = layout.most_pixels((job.width, job.height), options)
    except Refused:  # the upstream refuses it too
        pixels = job.priced_pixels
    if options.target_size is None and options.margin == Options.margin:
        pixels = min(pixels, job.priced_pixels)
    usual = int(pixels * USUAL_BYTES_PER_PIXEL[options.output_format])
    return usual + ANY_SIZE, pixels * WORST_BYTES_PER_PIXEL + ANY_SIZE


@contextmanager
def preallocate(job: Job, number: int) -> Iterator[ResultFile]:
    """A file with room for the result of a job's attempt, before it is paid for.

    Raises NoRoomError if the disk is too full. The file is removed in the end, unless it was stored or is
    still wanted.
    """
    usual, worst = room_for(job)
    file: ResultFile | None = None
    try:
        file = ResultFile.create(spool.folder(), spool.stem_of(job, number), worst)
        _admit(file, usual)
    except OSError as error:
        spool.remove(file)
        raise InsufficientStorageError(str(error)) from error
    with spool.held(file):
        yield file


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


def _admit(file: ResultFile, usual: int) -> None:
    # The file is there before the others are counted, so two that come at once see each other.
    file.allocate(usual)
    place, own = file.path.parent, _growth(file.path)
    if shutil.disk_usage(place).free >= max(own, MOST_GROWTH) + ROOM_TO_SPARE:
        return  # counting a hundred others takes milliseconds, and would change nothing
    together = sum(map(_growth, _young_results(place)))
    needed = max(own, min(together, MOST_GROWTH)) + ROOM_TO_SPARE
    if shutil.disk_usage(place).free < needed:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed")


def _growth(path: Path) -> int:
    """How many bytes a result may still need."""
    worst = path.name.split(".")[1]
    try:
        return max(0, int(worst) - path.stat().st_blocks * 512) if worst.isdecimal() else 0
    except FileNotFoundError:  # stored meanwhile
        return 0


def _young_results(place: Path) -> Iterator[Path]:
    for path in place.glob("result-*.*.*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < spool.KEPT_SECONDS:
                yield path


def _fits(file: ResultFile, size: int) -> bool:
    try:
        file.allocate(size)
    except OSError:
        return False
    return True


def _fits_aside(file: ResultFile, size: int) -> bool:
    aside = spool.aside()
    if aside is None or aside.stat().st_dev == file.path.stat().st_dev:
        return False
    if shutil.disk_usage(aside).free < size + ROOM_TO_SPARE:
        return False
    try:
        file.move_to(aside)
    except OSError:  # not ours to write to
        return False
    return _fits(file, size)
