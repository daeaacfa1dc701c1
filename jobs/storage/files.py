"""Name, check and store a job's files, so that a stored file survives a power cut."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from jobs.models import Job
from jobs.storage import disk_space, spool
from jobs.storage.spool import ResultFile
from pixian.imaging import decode
from pixian.protocol.errors import BodyLost, Refused
from pixian.protocol.limits import MAX_PROCESSED_PIXELS

PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
ENDS = {"PNG": PNG_END, "JPEG": JPEG_END}
TAIL_BYTES = 1024  # some encoders append data behind the picture's end
CHUNK_BYTES = 1 << 20
MAX_RESULT_BYTES = 2 * disk_space.WORST_BYTES_PER_PIXEL * MAX_PROCESSED_PIXELS


class NotStoredError(Exception):
    """A paid result is complete and safe in the spool, but can't be moved to the storage now."""


class StorageUnavailableError(OSError):
    """The storage doesn't answer, or refuses us. It says nothing about a file; nothing was sent."""


def concerns_all(error: OSError) -> bool:
    """Tell a storage or a machine that can't go on from one file that can't be read or written."""
    of_machine = (*spool.FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS)
    return isinstance(error, StorageUnavailableError) or error.errno in of_machine


class SourceLostError(Exception):
    """The source is missing from the storage. Nothing was sent."""


class SourceUnreadableError(Exception):
    """This source is there and can't be read, though others may be. Nothing was sent."""


def new_source_name(team_slug: str, extension: str) -> str:
    """Return a name in a folder that only this job has, so that it is never taken."""
    return f"{team_slug}/{uuid4().hex}/source.{extension}"


def original_name(job: Job, ending: str) -> str:
    """Return the name for what came, beside the source that was made from it."""
    return f"{str(job.source.name).rpartition('/')[0]}/original.{ending}"


def result_name(job: Job, attempt_number: int) -> str:
    """Return the name for an attempt's result, beside the job's source.

    Each attempt has a name of its own, so after a crash a file by that name proves that its body arrived.
    """
    folder = str(job.source.name).rpartition("/")[0]
    return f"{folder}/result-{attempt_number}.png"


def open_source(job: Job) -> "File[bytes]":
    """Open the source for reading; raise SourceLostError if it is missing.

    Raises SourceUnreadableError, StorageUnavailableError, and InsufficientStorageError if there is no room to
    fetch it to.
    """
    try:
        return cast("File[bytes]", job.source.open("rb"))
    except FileNotFoundError as error:
        raise SourceLostError(str(error)) from error
    except StorageUnavailableError:
        raise
    except OSError as error:
        if error.errno in spool.FULL:
            raise disk_space.InsufficientStorageError(str(error)) from error
        raise SourceUnreadableError(str(error)) from error


def fill(
    file: TemporaryUploadedFile, chunks: Iterable[bytes], on_progress: Callable[[int], object] = int
) -> None:
    """Write a body to a file, and free the space that was reserved beyond its end.

    ``on_progress`` is called after each chunk with the number of bytes written so far. Raises BodyLost for a
    body that is longer than any result, and for one that the disk has no space for.
    """
    for chunk in chunks:
        try:
            disk_space.write(file, chunk)
        except OSError as error:
            raise BodyLost(str(error)) from error
        if file.tell() > MAX_RESULT_BYTES:
            raise BodyLost(f"more than {MAX_RESULT_BYTES} bytes")
        on_progress(file.tell())
    file.truncate()
    file.size = file.tell()


def check_picture(file: "File[bytes]") -> None:
    """Raise Refused for what isn't a picture, and BodyLost for a picture without its end.

    A connection that breaks in a body of unknown length leaves such a picture behind. The sides may be of any
    length, since it was paid for. The file's position is at its end afterwards.
    """
    file.seek(0)
    try:
        image, header = decode.open_result(cast("BinaryIO", file))
        file.seek(max(0, (file.size or 0) - TAIL_BYTES))
        if ENDS.get(header.format, b"") in file.read():
            return
        if header.format == "PNG":
            raise BodyLost("the picture has no end")
        try:
            # Some encoders leave out a JPEG's end marker, so only its pixels tell whether any are missing.
            decode.decode(image)
        except Refused as error:
            raise BodyLost("the picture has no end") from error
    finally:
        file.seek(0, os.SEEK_END)


def find_result(name: str) -> tuple[str, int] | None:
    """Return the hex digest and the bytes of a result that is stored from its first to its last byte.

    A rename stores a file completely or not at all, but a crash during a copy between two file systems leaves
    its beginning. Raises OSError if a file is there that can't be read.
    """
    if not default_storage.exists(name):
        return None
    try:
        with default_storage.open(name) as file:
            check_picture(file)
            return sha256(file), file.size
    except (Refused, BodyLost):
        return None


def put(name: str, file: TemporaryUploadedFile) -> str:
    """Store a temporary file, completely or not at all, and return its name once it is on the disk.

    The file system's storage moves the file into place by a rename; other storages upload it.
    """
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    with _on_storage_volume(file) as near:
        stored = default_storage.save(name, near)
    if root := spool.root():
        sync_folder((root / stored).parent)
    return stored


@contextmanager
def _on_storage_volume(file: TemporaryUploadedFile) -> Iterator[TemporaryUploadedFile]:
    """Yield the file if it can be renamed into place, or else a copy on the storage's file system."""
    place = spool.folder()
    if spool.root() is None or os.fstat(file.fileno()).st_dev == place.stat().st_dev:
        yield file
        return
    # Django would copy it straight to its final name. A crash or a full disk would leave half a picture
    # there.
    size = file.size or 0
    near = ResultFile.create(place, "copy", size)
    with spool.cleaning_up(near):
        if size:
            near.allocate(size)
        for chunk in file.chunks(CHUNK_BYTES):
            near.write(chunk)
        near.flush()
        os.fsync(near.fileno())
        near.size = size
        yield near


def sha256(file: "File[bytes]") -> str:
    """Return the hex digest of a temporary or stored file."""
    file.seek(0)
    return sha256_of(file.chunks())


def sha256_of(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def stored_chunks(name: str) -> Iterator[bytes]:
    """Read a stored file piece by piece; raise FileNotFoundError if it is missing.

    A bucket's file is read while it arrives; opening it would fetch all of it first.
    """
    if read := getattr(default_storage, "read_chunks", None):
        yield from read(name)
    else:
        with default_storage.open(name) as file:
            yield from file.chunks(CHUNK_BYTES)


def sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder that records it is on the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
