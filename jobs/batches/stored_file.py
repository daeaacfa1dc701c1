"""Read a rendition's file, all of which is known to be right before its first byte is given away."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import IO, Any

from django.core.files.storage import default_storage

from jobs.models import Rendition
from jobs.storage import files, spool

CHUNK_BYTES = 1 << 20
AT_ONCE_BYTES = 4 << 20
"""A larger file isn't kept in memory: it is read twice."""


class DamagedError(Exception):
    """A stored file is missing, can't be read, or isn't what was stored."""


def seems_whole(row: Rendition) -> bool:
    """Tell by its size if the file is there; without asking another host, which is believed."""
    if spool.root() is None:
        return True
    try:
        return default_storage.size(str(row.file)) == row.bytes
    except OSError:
        return False


def checked(row: Rendition) -> Iterator[bytes]:
    """Return the file's content; raise DamagedError if it isn't the size and the bytes that were stored.

    Raises OSError if the storage is away, or a disk is too full to fetch the file to.
    """
    try:
        return _checked(row)
    except OSError as error:
        if files.concerns_all(error):
            raise
        raise DamagedError(f"{row.file}: {error}") from error


def _checked(row: Rendition) -> Iterator[bytes]:
    file = default_storage.open(str(row.file))
    try:
        if (row.bytes or 0) <= AT_ONCE_BYTES:
            with closing(file):
                content = file.read(AT_ONCE_BYTES + 1)
            _compare(row, len(content), hashlib.sha256(content).hexdigest())
            return iter((content,))
        _check(row, file)
    except BaseException:
        file.close()
        raise
    return _again(row, file)


def _check(row: Rendition, file: Any) -> None:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(file):
        digest.update(chunk)
        size += len(chunk)
    _compare(row, size, digest.hexdigest())


def _again(row: Rendition, file: Any) -> Iterator[bytes]:
    """Yield a checked file's content. A file changed in between ends the download, which then isn't whole."""
    with closing(file):
        file.seek(0)
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(file):
            digest.update(chunk)
            size += len(chunk)
            if size == row.bytes:
                _compare(row, size, digest.hexdigest())
            yield chunk
        _compare(row, size, digest.hexdigest())


def _chunks(file: "IO[bytes]") -> Iterator[bytes]:
    return iter(partial(file.read, CHUNK_BYTES), b"")


def _compare(row: Rendition, size: int, sha256: str) -> None:
    if (size, sha256) != (row.bytes, row.sha256):
        raise DamagedError(str(row.file))
