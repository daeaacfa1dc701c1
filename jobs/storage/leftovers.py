"""Find and clear what killed processes left in the spool.

A result that had arrived completely is stored by the worker that resumes its job; everything else is removed.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from jobs.models import Attempt, Job
from jobs.storage import spool
from jobs.storage.files import JPEG_END, PNG_END, TAIL_BYTES
from jobs.storage.spool import ResultFile
from pixian.imaging import decode
from pixian.protocol.errors import Refused

log = structlog.get_logger(__name__)

BLOCK_BYTES = 1 << 20


def find(job: Job, attempt: Attempt) -> ResultFile | None:
    """Return the body of an answered call if it had arrived completely before its worker stopped."""
    for place in spool.places():
        for path in place.glob(f"{spool.stem_of(job, attempt.number)}.*"):
            if (file := _complete_result(path, spool.body_length(attempt))) is not None:
                return file
    return None


def unclaimed() -> Iterator[Path]:
    """Yield old, complete results in the storage's spool; perhaps no worker will come for them."""
    yield from (path for path in _old_files(spool.folder()) if _is_complete_result(path))


def sweep() -> None:
    """Remove temporary files that a killed process left behind an hour ago or earlier.

    No database refers to them, so this asks none. An upload among them was never accepted: a source is stored
    before its row is written. Only a result may have been paid for, so one with a picture's last bytes stays:
    the worker that resumes its job finds it, and ``jobs.storage.strays`` moves it to quarantine if none does.
    One without them is what the books call a lost body.
    """
    for place in spool.places():
        for path in _old_files(place):
            if _is_complete_result(path):
                log.warning("a complete result was left in the spool", file=str(path))
            else:
                path.unlink(missing_ok=True)


def _is_complete_result(path: Path) -> bool:
    return path.name.startswith("result-") and bool(_end_of_picture(path))


def _old_files(place: Path) -> Iterator[Path]:
    for path in place.iterdir():
        with suppress(FileNotFoundError):  # its own process stored or removed it meanwhile
            if path.is_file() and time.time() - path.stat().st_mtime > spool.KEPT_SECONDS:
                yield path


def _complete_result(path: Path, length: int | None) -> ResultFile | None:
    """Return the file, cut to its body, if that is a picture with all its pixels."""
    end = _end_of_picture(path)
    if end is None or (length is not None and not end <= length <= path.stat().st_size):
        return None
    file = ResultFile(cast("BinaryIO", open(str(path), "r+b")))  # noqa: SIM115, PTH123 - its name is a text
    try:
        file.truncate(end if length is None else length)
        file.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        image, _header = decode.open_result(cast("BinaryIO", file))
        decode.decode(image)
    except Refused:
        file.close()
        return None
    file.seek(0, os.SEEK_END)
    return file


def _end_of_picture(path: Path) -> int | None:
    """Return the number of bytes before the preallocated zeros, or None if no picture ends there."""
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
