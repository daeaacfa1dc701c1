"""Where a job's files lie, and how one gets there so that it survives a power cut."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from PIL import Image

from jobs.models import Job
from pixian import picture
from pixian.errors import BodyLost, Refused
from pixian.limits import MAX_PROCESSED_PIXELS

SPOOL_KEPT_SECONDS = 60 * 60  # above any call, with a database that restarts meanwhile
BYTES_PER_PIXEL = 5  # four channels, and what a PNG adds to noise
ROOM_TO_SPARE = 16 * 1024 * 1024  # for the database and the other files of this job
PNG_END = b"IEND\xaeB`\x82"
ENDS = {"PNG": PNG_END, "JPEG": b"\xff\xd9"}
TAIL_BYTES = 1024  # the end may have something behind it
MAX_RESULT_BYTES = 2 * BYTES_PER_PIXEL * MAX_PROCESSED_PIXELS


class NoRoomError(Exception):
    """The disk has no room for a result. Nothing was sent."""


class SourceLostError(Exception):
    """The storage hasn't got the picture any more. Nothing was sent."""


def new_source_name(team_slug: str, extension: str) -> str:
    """A folder of its own for each job, so that no name is ever taken."""
    return f"{team_slug}/{uuid4().hex}/source.{extension}"


def result_name(job: Job, attempt_number: int) -> str:
    """Beside the source, one a call: after a crash its presence says that the body arrived whole."""
    folder = str(job.source.name).rpartition("/")[0]
    return f"{folder}/result-{attempt_number}.png"


def opened(job: Job) -> "File[bytes]":
    """The source, to read; raises SourceLostError."""
    try:
        return cast("File[bytes]", job.source.open("rb"))
    except FileNotFoundError as error:
        raise SourceLostError(str(error)) from error


@contextmanager
def reserved(pixels: int) -> Iterator[TemporaryUploadedFile]:
    """A temporary file with room on the disk for any picture of so many pixels, before it is paid for;
    raises NoRoomError where the disk is too full."""
    file = TemporaryUploadedFile("result", None, 0, None)
    with file:
        try:
            _allocate(file.fileno(), pixels * BYTES_PER_PIXEL + ROOM_TO_SPARE)
        except OSError as error:
            raise NoRoomError(str(error)) from error
        yield file


def fill(file: TemporaryUploadedFile, chunks: Iterable[bytes], grew: Callable[[int], object] = int) -> None:
    """Write the chunks and give back what was reserved beyond them. Raises BodyLost for a body that never
    ends.

    grew: told how many bytes are there, after each chunk.
    """
    for chunk in chunks:
        file.write(chunk)
        if file.tell() > MAX_RESULT_BYTES:
            raise BodyLost(f"more than {MAX_RESULT_BYTES} bytes")
        file.flush()
        grew(file.tell())
    file.truncate()
    file.size = file.tell()


def check_picture(file: "File[bytes]") -> None:
    """Raises Refused where the file isn't a picture by its header, and BodyLost for a PNG without its end,
    or a JPEG with pixels missing, as a line cut in a body of unknown length leaves it. The file is left at
    its end."""
    file.seek(0)
    try:
        image, header = picture.open_picture(cast("BinaryIO", file))
        file.seek(max(0, (file.size or 0) - TAIL_BYTES))
        if ENDS.get(header.format, b"") in file.read():
            return
        if header.format == "PNG":
            raise BodyLost("the picture has no end")
        _check_pixels(image)
    finally:
        file.seek(0, os.SEEK_END)


def _check_pixels(image: Image.Image) -> None:
    """Some encoders leave a JPEG's end out, so that only its pixels tell."""
    try:
        picture.decode(image)
    except Refused as error:
        raise BodyLost("the picture has no end") from error


def is_whole(name: str) -> bool:
    """Whether a result is stored, and not only the beginning of one: a rename leaves none, but a crash in the
    middle of a copy between two file systems does."""
    if not default_storage.exists(name):
        return False
    try:
        with default_storage.open(name) as file:
            check_picture(file)
    except (Refused, BodyLost):
        return False
    return True


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
    """Remove temporary files that a killed process left behind an hour ago or earlier."""
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


def _allocate(descriptor: int, size: int) -> None:
    """Where the system can't reserve, the room that is there now has to do."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
