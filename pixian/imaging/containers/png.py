"""PNG: keeps the chunks that make the picture. Source: the W3C's PNG specification, third edition.

Texts and animations are dropped, as is everything after the pixels, which browsers ignore too. So are
ancillary chunks with a wrong checksum, as libpng does it.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from pixian.imaging.containers.container import (
    MAX_METADATA_BYTES,
    Container,
    Counter,
    check_pixels,
    is_exif,
    splice,
)
from pixian.imaging.spliced_file import Piece, SourceFile
from pixian.protocol import errors

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = bytes(4) + b"IEND\xaeB`\x82"
HEADER_BYTES = 13
CHECKSUM_BYTES = 4
NO_CRC = bytes(4)  # Pillow doesn't verify the CRC of pixel chunks
MAX_CHUNK_BYTES = 2**31 - 1
SMALLEST = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 1, b"tRNS": 1, b"bKGD": 1}
"""Chunks that affect the colours, and the minimum length of each."""

SMALLEST_TRNS = {0: 2, 2: 6, 3: 1}
"""Minimum length of tRNS, by colour type."""

PALETTE, COLOR_BYTES = 3, 3
"""The colour type of a picture with a palette, and the length of one of its colours."""

DEFLATE = b"\0"
"""The only compression method of a profile."""


@dataclass
class Chunks:
    """The chunks that have been parsed so far.

    pixels: the data of IDAT. pieces: all others, whole. palette_bytes: length of the first palette.
    """

    source: SourceFile
    header: bytes = b""
    pieces: list[Piece] = field(default_factory=lambda: [SIGNATURE])
    pixels: list[Piece] = field(default_factory=list)
    data_bytes: int = 0
    kinds: set[bytes] = field(default_factory=set)
    palette_bytes: int | None = None


def parse(source: SourceFile) -> Container:
    """Parse up to the end of the pixels; raise Refused 400/1006 if there are none, and TooComplex."""
    chunks, position, counter = Chunks(source), len(SIGNATURE), Counter("chunks")
    while position + 8 <= source.size:
        counter.add()
        length, kind = struct.unpack(">I4s", source.at(position, 8))
        if length > MAX_CHUNK_BYTES or (chunks.pixels and kind != b"IDAT"):
            break
        if not chunks.header and kind != b"IHDR":
            break
        _add_chunk(chunks, kind, position, length)
        position += length + 12
    if not chunks.header:
        raise errors.unreadable_picture()
    width, height = struct.unpack(">II", chunks.header[:8])
    check_pixels(width, height)
    if not chunks.data_bytes or (chunks.header[9] == PALETTE and (chunks.palette_bytes or 0) < COLOR_BYTES):
        raise errors.unreadable_picture()
    content = _content(chunks, chunks.data_bytes)
    # zlib never gets to see its checksum if the chunk claims to end before it.
    unchecked = _content(chunks, chunks.data_bytes - CHECKSUM_BYTES)
    return Container("PNG", width, height, chunks.data_bytes, content, unchecked=unchecked)


def _content(chunks: Chunks, data_bytes: int) -> BinaryIO:
    """Return the reduced file, with all pixels in a single chunk that claims this length."""
    head = struct.pack(">I", max(0, data_bytes)) + b"IDAT"
    return splice(chunks.source, [*chunks.pieces, head, *chunks.pixels, NO_CRC, END])


def _add_chunk(chunks: Chunks, kind: bytes, position: int, length: int) -> None:
    source, end = chunks.source, position + 12 + length
    if kind == b"IDAT":
        stop = min(position + 8 + length, source.size)
        chunks.pixels.append((position + 8, stop))
        chunks.data_bytes += stop - position - 8
    elif end > source.size:
        return
    elif kind == b"IHDR":
        if chunks.header:  # browsers refuse a second one, and it would make the first one's palette unusable
            raise errors.unreadable_picture()
        chunks.header = source.at(position + 8, min(length, HEADER_BYTES)).ljust(HEADER_BYTES, b"\0")
        chunks.pieces.append((position, end))
    elif kind == b"PLTE":
        # Browsers and the plug-in heed no palette but the first.
        chunks.palette_bytes = length if chunks.palette_bytes is None else chunks.palette_bytes
        chunks.pieces.append((position, end))
    # An upper-case first letter marks a critical chunk, which no decoder may skip.
    elif kind[:1].isupper() or _is_needed(chunks, kind, position, length):
        chunks.pieces.append((position, end))


def _is_needed(chunks: Chunks, kind: bytes, position: int, length: int) -> bool:
    """Return True if the chunk affects colours or orientation, is valid, and is the first of its kind."""
    if not (kind in SMALLEST or kind in VALIDATORS) or length > MAX_METADATA_BYTES:
        return False
    chunk = chunks.source.at(position + 4, length + 8)
    data = chunk[4:-4]
    if kind in chunks.kinds or zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:]):
        return False
    chunks.kinds.add(kind)
    if kind in VALIDATORS:
        return VALIDATORS[kind](data)
    return length >= (SMALLEST_TRNS.get(chunks.header[9], 1) if kind == b"tRNS" else SMALLEST[kind])


def _is_profile(data: bytes) -> bool:
    name, _zero, rest = data.partition(b"\0")
    return bool(name) and rest[:1] == DEFLATE and _inflates(rest[1:])


def _inflates(data: bytes) -> bool:
    """Return True if the data decompresses to at most MAX_METADATA_BYTES."""
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(data, MAX_METADATA_BYTES)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail


VALIDATORS: dict[bytes, Callable[[bytes], bool]] = {b"eXIf": is_exif, b"iCCP": _is_profile}
