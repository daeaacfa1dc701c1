"""GIF: keeps the screen, and the first image with its transparency. Source: CompuServe's GIF89a."""

import struct

from pixian.imaging.containers.container import Container, Counter, splice
from pixian.imaging.spliced_file import Piece, SourceFile
from pixian.protocol import errors

HEAD_BYTES = 13
EXTENSION, IMAGE, CONTROL, END = b"!", b",", 0xF9, b"\0;"
CONTROL_BLOCK = struct.Struct("<BBBHBB")
TRANSPARENT = 1
MAX_BLOCKS = 200_000
"""Limit on the blocks of the first image, of 255 bytes each: more than fits in an upload. Parsing this many
takes 60 ms."""


def parse(source: SourceFile) -> Container:
    """Parse up to the first image; raise Refused 400/1006 if there is none, and TooComplex."""
    head = source.at(0, HEAD_BYTES).ljust(HEAD_BYTES, b"\0")
    position = HEAD_BYTES + _palette_bytes(head[10])
    pieces: list[Piece] = [(0, position)]
    counter = Counter("blocks")
    while (kind := source.at(position, 1)) == EXTENSION:
        label = source.at(position + 1, 1)
        if label and label[0] == CONTROL:
            pieces[1:] = [_control(source.at(position, CONTROL_BLOCK.size))]
        position = _blocks_end(source, position + 2, counter)
    if kind != IMAGE:
        raise errors.unreadable_picture()
    return _image(source, position, pieces)


def _palette_bytes(flags: int) -> int:
    """Return the size of the colour table that the flags of a screen or image announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _control(block: bytes) -> bytes:
    """Return a graphic control extension that has its transparent colour, but no disposal method."""
    if len(block) < CONTROL_BLOCK.size or block[2] != 4:
        return b""
    return block[:3] + bytes([block[3] & TRANSPARENT]) + block[4:7] + b"\0"


def _blocks_end(source: SourceFile, position: int, counter: Counter) -> int:
    """Return the position after a sequence of data blocks and its terminating zero."""
    while size := source.at(position, 1):
        counter.add()
        position += 1 + size[0]
        if not size[0]:
            break
    return position


def _image(source: SourceFile, start: int, pieces: list[Piece]) -> Container:
    descriptor = source.at(start, 10).ljust(10, b"\0")
    left, top, width, height, flags = struct.unpack("<HHHHB", descriptor[1:])
    screen = struct.unpack("<HH", source.at(6, 4))
    data = start + 10 + _palette_bytes(flags)
    pixels = _pixels(source, data + 1)
    size = max(screen[0], left + width), max(screen[1], top + height)
    content = splice(source, [*pieces, (start, data + 1), *pixels, END])
    return Container("GIF", *size, source.size - data, content)


def _pixels(source: SourceFile, start: int) -> list[Piece]:
    """Return the image's data blocks.

    If the file is cut off within a block, its length byte is corrected, so that the rest gets decoded.
    """
    position = start
    for _number in range(MAX_BLOCKS):
        size = source.at(position, 1)
        if not size or not size[0]:
            return [(start, position)]
        end = position + 1 + size[0]
        if end > source.size:
            left = bytes([source.size - position - 1])
            return [(start, position), left.strip(b"\0"), (position + 1, source.size)]
        position = end
    return [(start, source.size)]
