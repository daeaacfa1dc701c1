"""Reserve disk space for a result: an estimate before its call, the exact size once it is known.

A call is sent only if the file system that holds the results has, at that moment,

1. the size that such a result usually has, which is preallocated (``posix_fallocate``), and
2. free space for whatever this call and those in flight may need beyond that. The worst case of a single call
   is always covered. What all of them together may need is covered up to ``MAX_GROWTH``: otherwise a hundred
   large calls, in case every result turns out to be noise, would ask for gigabytes that they never use.

So as long as the calls in flight may grow by less than ``MAX_GROWTH``, no paid result can find the disk
filled by another one. Once the headers state a body's length, exactly that much is preallocated. If something
else filled the disk meanwhile, the body goes to ``SPOOL_ASIDE_DIR``, if that is another file system; if that
is full too, the call waits a while for space before its body is given up.
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

WORST_BYTES_PER_PIXEL = 5  # four channels, plus PNG's overhead on incompressible noise
# The contract's own example has 0.82 bytes a pixel as PNG and 0.22 as delta PNG (§ 6).
USUAL_BYTES_PER_PIXEL = {Format.PNG: 1.0, Format.JPEG: 0.5, Format.DELTA_PNG: 0.5}
FIXED_BYTES = 1024 * 1024  # independent of the pixels, such as a colour profile
MAX_GROWTH = 512 * 1024 * 1024
RESERVE_BYTES = 16 * 1024 * 1024  # for the database and the job's other files
WAIT_SECONDS = 60
RETRY_SECONDS = 0.5


class InsufficientStorageError(Exception):
    """The disk has no space for a result. Nothing was sent."""


def result_sizes(job: Job) -> tuple[int, int]:
    """Return the usual and the largest size of a job's result, in bytes."""
    options = Options.parse(job.options).effective()
    try:
        pixels = layout.most_pixels((job.width, job.height), options)
    except Refused:  # the upstream will refuse it too
        pixels = job.priced_pixels
    if options.target_size is None and options.margin == Options.margin:
        pixels = min(pixels, job.priced_pixels)
    usual = int(pixels * USUAL_BYTES_PER_PIXEL[options.output_format])
    return usual + FIXED_BYTES, pixels * WORST_BYTES_PER_PIXEL + FIXED_BYTES


@contextmanager
def preallocate(job: Job, number: int) -> Iterator[ResultFile]:
    """Yield a file with space for an attempt's result, before the call is paid for.

    Raises InsufficientStorageError if the disk is too full. The file is removed on exit, unless it was stored
    or is still wanted.
    """
    usual, worst = result_sizes(job)
    file: ResultFile | None = None
    try:
        file = ResultFile.create(spool.folder(), spool.stem_of(job, number), worst)
        _admit(file, usual)
    except OSError as error:
        spool.remove(file)
        raise InsufficientStorageError(str(error)) from error
    with spool.cleaning_up(file):
        yield file


def make_room(file: ResultFile, length: int | None, most: int) -> None:
    """Preallocate space for a paid body before it is read, on another file system if need be.

    ``length`` is None if the headers don't state it; ``most`` is the largest body allowed, in bytes.
    """
    size = min(length or file.worst, most)
    until = time.monotonic() + (WAIT_SECONDS if length else 0)
    while not (_fits(file, size) or _fits_aside(file, size)):
        if time.monotonic() >= until:
            log.error("the disk may be too full for a paid result", bytes=size, file=str(file.path))
            return
        time.sleep(RETRY_SECONDS)


def write(file: TemporaryUploadedFile, chunk: bytes) -> None:
    """Append to a body; on a full disk, wait a while for space and then raise OSError."""
    place, until = file.tell(), time.monotonic() + WAIT_SECONDS
    while True:
        try:
            file.seek(place)  # the failed try may have written part of the chunk
            file.write(chunk)
            file.flush()
        except OSError as error:
            if error.errno not in FULL or time.monotonic() >= until:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _admit(file: ResultFile, usual: int) -> None:
    # The file exists before the others are counted, so that two calls at once see each other.
    file.allocate(usual)
    place, own = file.path.parent, _growth(file.path)
    if shutil.disk_usage(place).free >= max(own, MAX_GROWTH) + RESERVE_BYTES:
        return  # counting a hundred files takes milliseconds and wouldn't change the outcome
    together = sum(map(_growth, _young_results(place)))
    needed = max(own, min(together, MAX_GROWTH)) + RESERVE_BYTES
    if shutil.disk_usage(place).free < needed:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed")


def _growth(path: Path) -> int:
    """Return how many more bytes a result may need."""
    worst = path.name.split(".")[1]
    try:
        return max(0, int(worst) - path.stat().st_blocks * 512) if worst.isdecimal() else 0
    except FileNotFoundError:  # stored in the meantime
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
    if shutil.disk_usage(aside).free < size + RESERVE_BYTES:
        return False
    try:
        file.move_to(aside)
    except OSError:  # no permission to write there
        return False
    return _fits(file, size)
