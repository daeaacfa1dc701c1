"""PNG: the chunks that make the picture. Source: the W3C's PNG specification, third edition.

Pillow reads nothing but what is kept here: no text, no animation, nothing behind the pixels, where browsers
look for nothing either. Chunks whose checksum is wrong are left out, as libpng does.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from pixian.imaging.containers.walk import (
    MAX_METADATA_BYTES,
    Container,
    Counter,
    check_pixels,
    is_exif,
    spliced,
)
from pixian.imaging.splice import Piece, Source
from pixian.protocol import errors

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = bytes(4) + b"IEND\xaeB`\x82"
HEADER_BYTES = 13
CHECKSUM_BYTES = 4
NO_CRC = bytes(4)  # Pillow doesn't compare it for pixels
MAX_CHUNK_BYTES = 2**31 - 1
SMALLEST = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 1, b"tRNS": 1, b"bKGD": 1}
"""Chunks that shape the colours, and the fewest bytes with which each makes sense."""

SMALLEST_TRNS = {0: 2, 2: 6, 3: 1}
"""By colour type."""

PLAIN = b"\0"


@dataclass
class Walk:
    source: Source
    header: bytes = b""
    pieces: list[Piece] = field(default_factory=lambda: [SIGNATURE])
    pixels: list[Piece] = field(default_factory=list)
    data_bytes: int = 0
    met: set[bytes] = field(default_factory=set)


def walk(source: Source) -> Container:
    """Raises Refused 400/1006 if there is no header or no pixels, and TooComplex."""
    seen, position, counter = Walk(source), len(SIGNATURE), Counter("chunks")
    while position + 8 <= source.size:
        counter.add()
        length, kind = struct.unpack(">I4s", source.at(position, 8))
        if length > MAX_CHUNK_BYTES or (seen.pixels and kind != b"IDAT"):
            break
        if not seen.header and kind != b"IHDR":
            break
        _take(seen, kind, position, length)
        position += length + 12
    if not seen.header:
        raise errors.unreadable_picture()
    width, height = struct.unpack(">II", seen.header[:8])
    check_pixels(width, height)
    if not seen.data_bytes:
        raise errors.unreadable_picture()
    content, unchecked = _content(seen, seen.data_bytes), _content(seen, seen.data_bytes - CHECKSUM_BYTES)
    return Container("PNG", width, height, seen.data_bytes, content, unchecked=unchecked)


def _content(seen: Walk, data_bytes: int) -> BinaryIO:
    """The file, its pixels in one chunk that claims to have so many bytes."""
    head = struct.pack(">I", max(0, data_bytes)) + b"IDAT"
    return spliced(seen.source, [*seen.pieces, head, *seen.pixels, NO_CRC, END])


def _take(seen: Walk, kind: bytes, position: int, length: int) -> None:
    source, end = seen.source, position + 12 + length
    if kind == b"IDAT":
        stop = min(position + 8 + length, source.size)
        seen.pixels.append((position + 8, stop))
        seen.data_bytes += stop - position - 8
    elif end > source.size:
        return
    elif kind == b"IHDR":
        seen.header = source.at(position + 8, min(length, HEADER_BYTES)).ljust(HEADER_BYTES, b"\0")
        seen.pieces.append((position, end))
    elif kind[:1].isupper() or _is_wanted(seen, kind, position, length):
        seen.pieces.append((position, end))


def _is_wanted(seen: Walk, kind: bytes, position: int, length: int) -> bool:
    """Return if the chunk shapes colours or orientation, can be read, and is the first of its kind."""
    if not (kind in SMALLEST or kind in READABLE) or length > MAX_METADATA_BYTES:
        return False
    chunk = seen.source.at(position + 4, length + 8)
    data = chunk[4:-4]
    if kind in seen.met or zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:]):
        return False
    seen.met.add(kind)
    if kind in READABLE:
        return READABLE[kind](data)
    return length >= (SMALLEST_TRNS.get(seen.header[9], 1) if kind == b"tRNS" else SMALLEST[kind])


def _is_profile(data: bytes) -> bool:
    name, _zero, rest = data.partition(b"\0")
    return bool(name) and rest[:1] == PLAIN and _inflates(rest[1:])


def _inflates(data: bytes) -> bool:
    """Return if it is compressed, and not too large."""
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(data, MAX_METADATA_BYTES)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail


READABLE: dict[bytes, Callable[[bytes], bool]] = {b"eXIf": is_exif, b"iCCP": _is_profile}
