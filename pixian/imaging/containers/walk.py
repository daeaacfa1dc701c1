"""A picture's file, walked before Pillow sees it: bounded, and reduced to what makes the picture.

Pillow keeps every comment, chunk and segment that it meets, one by one in Python, and refuses a picture
for damage in them. So the parts are counted here first, and what a picture needs is handed on: its
pixels, and as much metadata as tells its colours and orientation. A file with more parts than any encoder
writes is refused with the count.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import BinaryIO, cast

from PIL import Image

from pixian.imaging.splice import WINDOW_BYTES, Piece, Source, Splice
from pixian.protocol import errors
from pixian.protocol.limits import MAX_UPLOAD_PIXELS

MAX_PARTS = 16_384
"""Segments, chunks, directory entries. The most that encoders write is a PNG of 30 MiB in chunks of 2 to
8 KiB; walking so many takes 50 ms."""

MAX_METADATA_BYTES = 4 << 20
"""Of one picture's colour profile, and its EXIF; larger ones are left out. The largest profiles in use, of
printers, have 3 MB."""

MAX_SIDE = 65_535
"""The longest side that a JPEG can have, and so the longest of a result. A picture 1 pixel high and 32
million wide shows nothing, and costs decoders ten times what its pixels need (G)."""

SMALL_PIXELS = 1_000_000
MAX_PIXELS_PER_BYTE = 65_536
"""Above a megapixel. A white picture as PNG has 344 if it is 8-bit RGB, and 8,200 at 1 bit; as GIF 2,700,
as a fax in TIFF 20,000. Beyond lies only what makes a decoder reserve memory for nothing: a WebP of 32
megapixels in 34 bytes has 940,000 (G)."""


@dataclass(frozen=True)
class Container:
    """What a walk found.

    width, height: as stored, in pixels. data_bytes: of the pixels, compressed. content: the file for the
    decoder. other_ending: the same with other bytes behind, if the file doesn't say that it ends: its
    pixels are whole exactly if both decode to the same picture. unchecked: the same without the checksum of
    the pixels, for when they don't fit each other. image: already open, if Pillow's own way
    to open it won't do.
    """

    format: str
    width: int
    height: int
    data_bytes: int
    content: BinaryIO
    other_ending: BinaryIO | None = None
    unchecked: BinaryIO | None = None
    image: Image.Image | None = None

    def check_size(self) -> None:
        """Raise as ``check_pixels`` does, and TooComplex for too many pixels a byte."""
        check_pixels(self.width, self.height)
        pixels = self.width * self.height
        allowed = max(SMALL_PIXELS, self.data_bytes * MAX_PIXELS_PER_BYTE)
        if pixels > allowed:
            raise errors.too_complex(
                f"has {pixels:,} pixels in {self.data_bytes:,} bytes, and {allowed:,} are allowed in so few"
            )


def check_pixels(width: int, height: int) -> None:
    """Raise Refused 413/1013 for too many pixels or too long a side."""
    if width * height > MAX_UPLOAD_PIXELS:
        shrink_to = shrunk_size(width, height, MAX_UPLOAD_PIXELS)
        raise errors.too_many_pixels(width, height, MAX_UPLOAD_PIXELS, shrink_to)
    if max(width, height) > MAX_SIDE:
        raise errors.side_too_long(width, height, MAX_SIDE)


class Counter:
    """Counts parts of one kind, and raises TooComplex above ``cap``."""

    def __init__(self, what: str, cap: int = MAX_PARTS) -> None:
        self._what = what
        self._cap = cap
        self._count = 0

    def add(self, count: int = 1) -> None:
        self._count += count
        if self._count > self._cap:
            raise errors.too_complex(f"has more than {self._cap:,} {self._what}")


def spliced(source: Source, pieces: Iterable[Piece]) -> BinaryIO:
    """Return the pieces as a file that is read in blocks."""
    return cast("BinaryIO", io.BufferedReader(Splice(source.file, pieces), WINDOW_BYTES))


def is_exif(data: bytes) -> bool:
    """Return if this is a TIFF header, as all EXIF begins, without JPEG's prefix."""
    return data.startswith((b"II*\0", b"MM\0*"))


def shrunk_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most ``max_pixels``; never enlarges."""
    if width * height <= max_pixels:
        return width, height
    scale = sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))
