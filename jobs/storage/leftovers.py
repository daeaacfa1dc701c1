"""What a killed process leaves in the spool: a result that had arrived whole is stored, the rest is swept."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from jobs.models import Attempt, Job
from jobs.storage import spool
from jobs.storage.spool import ResultFile
from pixian.imaging import decode
from pixian.protocol.errors import Refused

log = structlog.get_logger(__name__)

PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
TAIL_BYTES = 1024  # a picture's end may have something behind it
BLOCK_BYTES = 1 << 20


def find(job: Job, attempt: Attempt) -> ResultFile | None:
    """The body of an answered call that had arrived whole when its process died or found no room for it."""
    for place in spool.places():
        for path in place.glob(f"{spool.stem_of(job, attempt.number)}.*"):
            if (file := _whole(path, spool.body_length(attempt))) is not None:
                return file
    return None


def unclaimed() -> Iterator[Path]:
    """Old results in the storage's spool that are whole; nobody may be coming for them any more."""
    yield from (path for path in _old(spool.folder()) if _is_result(path) and _end_of_picture(path))


def sweep() -> None:
    """Remove temporary files that a killed process left behind an hour ago or earlier.

    No database names them, whichever one it is, so none is asked. An upload among them was never accepted: a
    source is stored before its row is written. Only a result may have been paid for, and so one that is whole
    by its last bytes stays: whoever resumes its job finds it, and ``jobs.storage.quarantine`` takes what
    nobody came for. One without its end is what the books call a lost body.
    """
    for place in spool.places():
        for path in _old(place):
            if _is_result(path) and _end_of_picture(path):
                log.warning("a whole result was left in the spool", file=str(path))
            else:
                path.unlink(missing_ok=True)


def _is_result(path: Path) -> bool:
    return path.name.startswith("result-")


def _old(place: Path) -> Iterator[Path]:
    for path in place.iterdir():
        with suppress(FileNotFoundError):  # put in place, or removed by whoever it belongs to
            if path.is_file() and time.time() - path.stat().st_mtime > spool.KEPT_SECONDS:
                yield path


def _whole(path: Path, length: int | None) -> ResultFile | None:
    """The file, cut to its body, if that is a picture with all its pixels."""
    end = _end_of_picture(path)
    if end is None or (length is not None and not end <= length <= path.stat().st_size):
        return None
    file = ResultFile(cast("BinaryIO", open(str(path), "r+b")))  # noqa: SIM115, PTH123 - its name is a text
    try:
        file.truncate(end if length is None else length)
        file.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        image, _header = decode.open_picture(cast("BinaryIO", file))
        decode.decode(image)
    except Refused:
        file.close()
        return None
    file.seek(0, os.SEEK_END)
    return file


def _end_of_picture(path: Path) -> int | None:
    """The number of bytes before the zeros that were reserved, if a picture ends there."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - BLOCK_BYTES)
                file.seek(start)
                if data := file.read(end - start).rstrip(b"\0"):
                    end = start + len(data)
                    break
                end = start
            file.seek(max(0, end - TAIL_BYTES))
            tail = file.read(end - file.tell())
    except FileNotFoundError:
        return None
    return end if PNG_END in tail or tail.endswith(JPEG_END) else None
