"""A virtual file made of pieces of another one, so that a decoder gets only the parts that it needs."""

import io
import os
import re
import time
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import BinaryIO, Protocol

WINDOW_BYTES = 1 << 16


class Buffer(Protocol):
    """The part of a writable buffer that ``readinto`` needs."""

    def __len__(self) -> int: ...
    def __setitem__(self, key: slice, value: bytes) -> None: ...


class SourceFile:
    """Random access to a file through a window of WINDOW_BYTES, in constant memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        self._start = 0
        self._window = b""

    def at(self, position: int, count: int) -> bytes:
        """Return ``count`` bytes from ``position``; fewer only at the end of the file."""
        if not (self._start <= position and position + count <= self._start + len(self._window)):
            self._load(position, count)
        offset = position - self._start
        return self._window[offset : offset + count]

    def find(self, pattern: re.Pattern[bytes], position: int) -> int:
        """Return the position of the two bytes that end the pattern's match, or the file's size.

        The pattern matches everything before these two bytes as well.
        """
        while position < self.size:
            end = self._start + len(self._window)
            if not (self._start <= position < end - 1):
                self._load(position, WINDOW_BYTES)
                end = self._start + len(self._window)
            if match := pattern.match(self._window, position - self._start):
                return self._start + match.end() - 2
            # The window's last byte is searched again: it may be the first of the two.
            position = max(position + 1, end - 1)
        return self.size

    def _load(self, position: int, count: int) -> None:
        self.file.seek(position)
        self._start, self._window = position, self.file.read(max(count, WINDOW_BYTES))


Range = tuple[int, int]
"""A half-open range of positions in the source file."""

Piece = bytes | Range


class DeadlineError(Exception):
    """A spliced file was read after its deadline."""


class SplicedFile(io.RawIOBase):
    """A read-only file spliced from literal bytes and ranges of another file.

    Closing it doesn't close the other file.
    """

    other_ending: BinaryIO | None = None
    unchecked: BinaryIO | None = None
    """Variants of the same picture; see ``Container``."""

    buffer_bytes = 0
    """Memory that the picture's decoder takes; see ``Container``."""

    def __init__(self, file: BinaryIO, pieces: Iterable[Piece]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if length_of(piece)]
        self._starts = list(accumulate(map(length_of, self._pieces), initial=0))
        self._position = 0
        self._deadline = float("inf")

    def read_until(self, deadline: float) -> None:
        """Set the time on the monotonic clock after which any read raises DeadlineError."""
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, possibly beyond the end, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise OSError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """Fill the buffer from one piece, and return the number of bytes; raise DeadlineError."""
        if time.monotonic() > self._deadline:
            raise DeadlineError
        if self._position >= self._starts[-1]:
            return 0
        index = bisect_right(self._starts, self._position) - 1
        offset = self._position - self._starts[index]
        content = self._read(self._pieces[index], offset, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _read(self, piece: Piece, offset: int, count: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[offset : offset + count]
        start, end = piece
        self._file.seek(start + offset)
        return self._file.read(min(count, end - start - offset))


def length_of(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
