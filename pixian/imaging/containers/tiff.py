"""TIFF: keeps the first directory, reduced to the tags that make the picture. Sources: TIFF 6.0, BigTIFF.

The pixels stay in place; a new directory is appended to the file, and the header is changed to point to it.
So other pages, loops between directories and unknown tags are never read.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, cast

from pixian.imaging.containers.container import MAX_METADATA_BYTES, Container, Counter, splice
from pixian.imaging.containers.jpeg import MAX_SCAN_PIXELS, survey
from pixian.imaging.spliced_file import Piece, Range, SourceFile, SplicedFile, length_of
from pixian.protocol import errors

MAX_ENTRIES = 4_096
MAX_STRIPS = 65_536
"""Limit on strips or tiles: one per row of the tallest picture."""

SMALL_STRIPS_BYTES = 1 << 24
MAX_COPIES = 2
"""Limit on the bytes of all strips or tiles together, as a multiple of the file's size: they may share bytes,
but each is read by itself. Small ones may share more, as the tiles of a blank page do."""

MAX_JPEG_STRIPS = 8_192
MAX_JPEG_SEGMENTS = 16 * MAX_JPEG_STRIPS
"""Limit on the segments of all strips or tiles together. Encoders write 3 to 10 in each."""

MAX_VALUE_BYTES = 1 << 20
MAX_TILE_PIXELS = 1 << 22
MAX_TILED_PIXELS = 1 << 26
"""Limit on the pixels of all tiles together: each is decoded whole, however little of it the picture shows,
and all may be the same few bytes. Tiles of up to 1,024 × 1,024 stay within it in any picture that may be
uploaded, even along a single row of pixels."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, STRIP_BYTES, PLANES = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
PROFILE, JPEG, YCBCR, SEPARATE = 34675, 7, 6, 2
YCBCR_BYTES = 4  # per pixel: libtiff converts YCbCr to RGBA
PER_STRIP = (OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES)
TAGS = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 266, 274, SAMPLES, ROWS, PLANES, 292, 293),
    *(317, 318, 319, 320),
    *(TILE_WIDTH, TILE_HEIGHT, 332, 333, 334, 338, 339, 340, 341, 347, *range(512, 522), *range(529, 533)),
    *(PROFILE, *PER_STRIP),
}
"""The tags of pixels, colours and orientation. All others are dropped, with the directories they point to."""

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8}
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "B", 8: "H", 9: "I", 16: "Q", 17: "Q"}
"""Types that libtiff takes for sizes and positions. The signed ones are read as unsigned, so that a negative
number, which libtiff refuses, is a huge one here."""


@dataclass(frozen=True)
class Layout:
    """The binary layout of a directory in TIFF or BigTIFF, in the notation of ``struct``."""

    order: str
    head_bytes: int
    count: str
    offset: str
    entry: str

    @property
    def inline_bytes(self) -> int:
        return struct.calcsize(self.offset)

    def pack(self, form: str, *values: int) -> bytes:
        return struct.pack(self.order + form, *values)

    def unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        size = struct.calcsize(self.order + form)
        return struct.unpack(self.order + form, data[:size].ljust(size, b"\0"))


@dataclass(frozen=True)
class Entry:
    """A directory entry. data: the value itself, or its range in the file if it doesn't fit inline."""

    raw: bytes
    kind: int
    count: int
    data: bytes | tuple[int, int]

    @property
    def size(self) -> int:
        return self.count * VALUE_BYTES.get(self.kind, 0)


def parse(source: SourceFile) -> Container:
    """Parse the first directory; raise Refused 400/1006 if it lacks the size, and TooComplex."""
    layout = _layout(source.at(0, 4))
    entries = _entries(source, layout)
    width, height = (_number(source, layout, entries, tag) for tag in (WIDTH, HEIGHT))
    if not (width and height):
        raise errors.unreadable_picture()
    _check_tiles(source, layout, entries, (width, height))
    strips = _strips(source, layout, entries)
    _check_bytes(source, strips)
    # The decoder gets the whole file at once, and decodes a strip or tile at a time.
    buffer_bytes = source.size + _strip_bytes(source, layout, entries, (width, height))
    if _number(source, layout, entries, COMPRESSION) == JPEG:
        buffer_bytes += _check_jpegs(source, strips)
    content = _rewrite(source, layout, entries)
    return Container("TIFF", width, height, source.size, content, buffer_bytes=buffer_bytes)


def _layout(head: bytes) -> Layout:
    order = "<" if head[:1] == b"I" else ">"
    if b"+" in head[2:4]:
        return Layout(order, 16, "Q", "Q", "HHQ8s")
    return Layout(order, 8, "H", "I", "HHI4s")


def _entries(source: SourceFile, layout: Layout) -> dict[int, Entry]:
    """Return the first directory's entries by tag, ascending: those of TAGS with a value within the file."""
    (start,) = layout.unpack(layout.offset, source.at(layout.head_bytes - layout.inline_bytes, 8))
    (count,) = layout.unpack(layout.count, source.at(start, 8) if start < source.size else b"")
    Counter("entries in its directory", MAX_ENTRIES).add(count)
    size, entries = struct.calcsize(layout.order + layout.entry), {}
    for number in range(count):
        raw = source.at(start + struct.calcsize(layout.count) + number * size, size)
        if len(raw) < size:
            break
        entry = _entry(source, layout, raw)
        tag = layout.unpack("H", raw)[0]
        if entry is not None and tag not in entries:
            entries[tag] = entry
    return dict(sorted(entries.items()))


def _entry(source: SourceFile, layout: Layout, raw: bytes) -> Entry | None:
    """Return the entry, or None if its tag isn't needed or its value can't be read."""
    tag, kind, count, data = struct.unpack(layout.order + layout.entry, raw)
    if tag not in TAGS or kind not in VALUE_BYTES:
        return None
    if tag in PER_STRIP:
        Counter("strips or tiles", MAX_STRIPS).add(count)
    size = count * VALUE_BYTES[kind]
    if size <= layout.inline_bytes:
        return Entry(raw, kind, count, data[:size])
    (start,) = layout.unpack(layout.offset, data)
    cap = MAX_METADATA_BYTES if tag == PROFILE else MAX_VALUE_BYTES
    if start + size > source.size or size > cap:
        return None
    return Entry(raw, kind, count, (start, start + size))


def _numbers(source: SourceFile, layout: Layout, entries: dict[int, Entry], tag: int) -> tuple[int, ...]:
    entry = entries.get(tag)
    if entry is None or entry.kind not in NUMBERS:
        return ()
    data = entry.data if isinstance(entry.data, bytes) else source.at(entry.data[0], entry.size)
    return layout.unpack(f"{entry.count}{NUMBERS[entry.kind]}", data)


def _number(source: SourceFile, layout: Layout, entries: dict[int, Entry], tag: int) -> int:
    return next(iter(_numbers(source, layout, entries, tag)), 0)


def _check_tiles(
    source: SourceFile, layout: Layout, entries: dict[int, Entry], size: tuple[int, int]
) -> None:
    """Raise TooComplex for tiles much larger than the picture, each by itself or all together.

    One could fill the memory with its buffer, and many would take hours to decode. Separate planes don't
    count: they have more tiles, each of fewer bytes.
    """
    width, height = (_number(source, layout, entries, tag) for tag in (TILE_WIDTH, TILE_HEIGHT))
    if not (width and height):
        return
    allowed = max(MAX_TILE_PIXELS, 2 * size[0] * size[1])
    if width * height > allowed:
        raise errors.too_complex(f"has tiles of {width * height:,} pixels; the limit is {allowed:,}")
    columns, rows = -(-size[0] // width), -(-size[1] // height)
    pixels = columns * width * rows * height
    if pixels > MAX_TILED_PIXELS:
        raise errors.too_complex(
            f"has {pixels:,} pixels in all tiles together; the limit is {MAX_TILED_PIXELS:,}"
        )


def _strips(source: SourceFile, layout: Layout, entries: dict[int, Entry]) -> list[Range]:
    """Return the ranges of the strips or tiles, as far as they are within the file.

    As in libtiff, tiles count if there are both, and a first one without a size reaches to the file's end.
    """
    starts = _numbers(source, layout, entries, TILE_OFFSETS) or _numbers(source, layout, entries, OFFSETS)
    sizes = _numbers(source, layout, entries, TILE_BYTES) or _numbers(source, layout, entries, STRIP_BYTES)
    first = (next(iter(sizes), 0) or source.size,)
    return [
        (start, max(start, min(start + size, source.size)))
        for start, size in zip(starts, first + sizes[1:], strict=False)
    ]


def _check_bytes(source: SourceFile, strips: list[Range]) -> None:
    """Raise TooComplex for strips or tiles that together have far more bytes than the file."""
    size = sum(map(length_of, strips))
    allowed = max(SMALL_STRIPS_BYTES, MAX_COPIES * source.size)
    if size > allowed:
        raise errors.too_complex(f"has {size:,} bytes in its strips or tiles; the limit is {allowed:,}")


def _strip_bytes(source: SourceFile, layout: Layout, entries: dict[int, Entry], size: tuple[int, int]) -> int:
    """Return the memory that a decoded strip or tile takes."""
    width, height, rows, photometric, planes = (
        _number(source, layout, entries, tag) for tag in (TILE_WIDTH, TILE_HEIGHT, ROWS, PHOTOMETRIC, PLANES)
    )
    pixels = width * height or size[0] * min(rows or size[1], size[1])
    samples = 1 if planes == SEPARATE else _number(source, layout, entries, SAMPLES) or 1
    bits = samples * max(_numbers(source, layout, entries, BITS), default=1)
    return pixels * max(-(-bits // 8), YCBCR_BYTES if photometric == YCBCR else 0)


def _check_jpegs(source: SourceFile, strips: list[Range]) -> int:
    """Return the memory for the coefficients of a strip or tile, each of which is a JPEG.

    Raises TooComplex if they have too many parts or scans together.
    """
    Counter("strips or tiles of JPEG", MAX_JPEG_STRIPS).add(len(strips))
    segments = Counter("segments in all strips or tiles together", MAX_JPEG_SEGMENTS)
    work = Counter("pixels in all scans together", MAX_SCAN_PIXELS)
    buffer_bytes = 0
    for strip in strips:
        seen = survey(SourceFile(cast("BinaryIO", SplicedFile(source.file, [strip]))), segments)
        work.add(seen.scan_pixels)
        buffer_bytes = max(buffer_bytes, seen.buffer_bytes)
    return buffer_bytes


def _rewrite(source: SourceFile, layout: Layout, entries: dict[int, Entry]) -> BinaryIO:
    """Return the file with a new directory at its end, which has only these entries."""
    padding = -source.size % 8
    directory = [
        layout.pack(layout.count, len(entries)),
        *(entry.raw for entry in entries.values()),
        layout.pack(layout.offset, 0),
    ]
    at = layout.head_bytes - layout.inline_bytes
    head = source.at(0, at) + layout.pack(layout.offset, source.size + padding)
    pieces: list[Piece] = [head, (layout.head_bytes, source.size), bytes(padding), *directory]
    return splice(source, pieces)
