"""Where a job's files lie, and how one gets there so that it survives a power cut."""

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
from django.db.models import Q
from PIL import Image

from jobs.models import Attempt, Job
from jobs.storage import disk_space, spool
from jobs.storage.spool import ResultFile
from pixian.imaging import decode
from pixian.protocol.errors import BodyLost, Refused
from pixian.protocol.limits import MAX_PROCESSED_PIXELS

PNG_END = b"IEND\xaeB`\x82"
ENDS = {"PNG": PNG_END, "JPEG": b"\xff\xd9"}
TAIL_BYTES = 1024  # the end may have something behind it
CHUNK_BYTES = 1 << 20
NAMES_AT_ONCE = 400  # of one query, which SQLite allows some 1,000 values
PREVIEW = ".webp"
MAX_RESULT_BYTES = 2 * disk_space.WORST_BYTES_PER_PIXEL * MAX_PROCESSED_PIXELS


class NotStoredError(Exception):
    """A paid result is whole and safe in the spool, but can't be put in place now."""


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


def fill(
    file: TemporaryUploadedFile, chunks: Iterable[bytes], on_progress: Callable[[int], object] = int
) -> None:
    """Write the chunks and give back what was reserved beyond them. Raises BodyLost for a body that never
    ends, and for one that the disk has no room for.

    on_progress: told how many bytes are there, after each chunk.
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
    """Raises Refused where the file isn't a picture by its header, and BodyLost for a PNG without its end,
    or a JPEG with pixels missing, as a line cut in a body of unknown length leaves it. The file is left at
    its end."""
    file.seek(0)
    try:
        image, header = decode.open_picture(cast("BinaryIO", file))
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
        decode.decode(image)
    except Refused as error:
        raise BodyLost("the picture has no end") from error


def is_complete(name: str) -> bool:
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
    with _on_its_volume(file) as near:
        stored = default_storage.save(name, near)
    if root := spool.root():
        _sync_folder((root / stored).parent)
    return stored


@contextmanager
def _on_its_volume(file: TemporaryUploadedFile) -> Iterator[TemporaryUploadedFile]:
    """The file, or a copy of it on the storage's file system. Django would copy it straight to its final
    name, where a crash or a full disk leaves the beginning of a picture."""
    place = spool.folder()
    if spool.root() is None or os.fstat(file.fileno()).st_dev == place.stat().st_dev:
        yield file
        return
    size = file.size or 0
    near = ResultFile.create(place, "copy", size)
    with spool.held(near):
        if size:
            near.allocate(size)
        for chunk in file.chunks(CHUNK_BYTES):
            near.write(chunk)
        near.flush()
        os.fsync(near.fileno())
        near.size = size
        yield near


def stored_names(folder: str = "") -> Iterator[str]:
    """The names of all files in the storage, but for those that aren't pictures: temporary and quarantined
    ones, the instance's id, and what a file system keeps for itself."""
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder was removed just now
        return
    if not folder:
        folders, names = _visible(folders), _visible(names)
    yield from (f"{folder}/{name}" if folder else name for name in names)
    for below in folders:
        yield from stored_names(f"{folder}/{below}" if folder else below)


def named_among(names: Iterable[str]) -> set[str]:
    """Those of the files that a row names, or will name once an answered call is booked. A preview belongs to
    the picture that it shows."""
    shown = {name: original(name) for name in names}
    wanted = set(shown) | set(shown.values())
    jobs = Job.objects.order_by()
    # Neither column has an index, so each query reads all rows: a few names are sought in one, many in none.
    if len(wanted) <= NAMES_AT_ONCE:
        jobs = jobs.filter(Q(source__in=wanted) | Q(result__in=wanted))
    pairs = jobs.values_list("source", "result").iterator()
    named = arrived().union(name for pair in pairs for name in pair if name in wanted)
    return {name for name, picture_name in shown.items() if name in named or picture_name in named}


def arrived() -> set[str]:
    """The names of results that were stored and wait for a worker to book them."""
    waiting = (Attempt.State.ANSWERED, Attempt.State.IN_DOUBT)
    answered = Attempt.objects.filter(state__in=waiting).select_related("job")
    return {result_name(attempt.job, attempt.number) for attempt in answered}


def original(name: str) -> str:
    """What a preview shows: ``source.jpg`` of ``source.jpg.tile.webp`` (``jobs.renditions.previews``)."""
    return name.rsplit(".", 2)[0] if name.endswith(PREVIEW) else name


def _visible(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".") and name != "lost+found"]


def sha256(file: "File[bytes]") -> str:
    """Hex digest of a temporary or stored file."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once the folder that records it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
