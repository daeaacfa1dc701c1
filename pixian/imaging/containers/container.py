"""Parsing of a picture's container before Pillow sees it, with limits against hostile files.

Pillow processes every comment, chunk and segment one by one in Python, and rejects a picture if one of them
is damaged. So the parsers in this package count the parts first, and then hand Pillow a reduced file: the
pixels, and the metadata that describes colours and orientation. A file with more parts than any encoder
writes is refused.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import BinaryIO, cast

from PIL import Image

from pixian.imaging.spliced_file import WINDOW_BYTES, Piece, SourceFile, SplicedFile
from pixian.protocol import errors
from pixian.protocol.limits import MAX_UPLOAD_PIXELS

MAX_PARTS = 16_384
"""Limit on segments, chunks or directory entries. The most that encoders write is a 30 MiB PNG in chunks of 2
to 8 KiB; parsing that many takes 50 ms."""

MAX_METADATA_BYTES = 4 << 20
"""Limit on a colour profile and on EXIF; larger ones are ignored. The largest profiles in use, those of
printers, have 3 MB."""

MAX_SIDE = 65_535
"""The longest side of a JPEG, and so of any upload. A picture of 1 × 32 million pixels is useless, and costs
decoders ten times what its number of pixels suggests (G)."""

SMALL_PIXELS = 1_000_000
MAX_PIXELS_PER_BYTE = 65_536
"""Limit on the compression ratio above a megapixel (G). A white picture reaches 344 as an 8-bit RGB PNG,
8,200 as a 1-bit PNG, 2,700 as a GIF and 20,000 as a fax-compressed TIFF. Higher ratios only make a decoder
allocate memory for nothing: a WebP of 32 megapixels in 34 bytes has 940,000."""


@dataclass(frozen=True)
class Container:
    """A parsed container.

    width, height: in pixels, as stored. data_bytes: size of the compressed pixels. content: the reduced file
    for the decoder. other_ending: if the file lacks its end marker, the same file with different bytes after
    the pixels; the pixels are complete exactly if both files decode to the same picture. unchecked: the same
    file without the checksum of the pixels, to be used if that is wrong. image: the opened picture, for a
    format that Pillow itself opens too expensively. buffer_bytes: memory that the decoder takes beside the
    picture.
    """

    format: str
    width: int
    height: int
    data_bytes: int
    content: BinaryIO
    other_ending: BinaryIO | None = None
    unchecked: BinaryIO | None = None
    image: Image.Image | None = None
    buffer_bytes: int = 0

    def check_size(self, longest: int | None = None) -> None:
        """Raise Refused 413/1013 for too many pixels or too long a side, and TooComplex as below.

        longest: the limit on a side, None for any. TooComplex is for too high a compression ratio.
        """
        check_pixels(self.width, self.height)
        if longest is not None and max(self.width, self.height) > longest:
            raise errors.side_too_long(self.width, self.height, longest)
        pixels = self.width * self.height
        allowed = max(SMALL_PIXELS, self.data_bytes * MAX_PIXELS_PER_BYTE)
        if pixels > allowed:
            raise errors.too_complex(
                f"has {pixels:,} pixels in {self.data_bytes:,} bytes of data; the limit is {allowed:,} pixels"
            )


def check_pixels(width: int, height: int) -> None:
    """Raise Refused 413/1013 for too many pixels."""
    if width * height > MAX_UPLOAD_PIXELS:
        shrink_to = shrunk_size(width, height, MAX_UPLOAD_PIXELS)
        raise errors.too_many_pixels(width, height, MAX_UPLOAD_PIXELS, shrink_to)


class Counter:
    """Counts the parts of one kind, which ``name`` names in the plural."""

    def __init__(self, name: str, cap: int = MAX_PARTS) -> None:
        self._name = name
        self._cap = cap
        self._count = 0

    def add(self, count: int = 1) -> None:
        """Count further parts; raise TooComplex above the cap."""
        self._count += count
        if self._count > self._cap:
            raise errors.too_complex(f"has more than {self._cap:,} {self._name}")


def splice(source: SourceFile, pieces: Iterable[Piece]) -> BinaryIO:
    """Return a buffered file that consists of these pieces of the source."""
    return cast("BinaryIO", io.BufferedReader(SplicedFile(source.file, pieces), WINDOW_BYTES))


def is_exif(data: bytes) -> bool:
    """Return True if the data begins with a TIFF header, as EXIF does behind JPEG's ``Exif`` prefix."""
    return data.startswith((b"II*\0", b"MM\0*"))


def shrunk_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the largest size of the same shape that has at most ``max_pixels``; never enlarge."""
    if width * height <= max_pixels:
        return width, height
    scale = sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))
