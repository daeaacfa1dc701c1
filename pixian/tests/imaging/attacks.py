"""Small or plain files that would cost a decoder far more than they show."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from pixian.tests.imaging.odd_pictures import chunk, riff, saved, segment

MEGABYTE = 1 << 20
MOST = 31_000_000  # bytes of a file that is just allowed
TEAL = Image.new("RGB", (100, 100), "teal")
LONG, SIGNED_LONG = 4, 9
UNREADABLE, TOO_MANY_PIXELS, SERVED = (400, 1006), (413, 1013), (200, 0)


def png(width: int, height: int, *before: bytes, pixels: bytes | None = None) -> bytes:
    """8-bit grey; white by itself."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height)) if pixels is None else pixels
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(extensions: bytes = b"") -> bytes:
    content = saved("GIF", TEAL.quantize(4))
    at = content.index(b",\0\0\0\0d\0d\0")
    return content[:at] + extensions + content[at:]


def gif_of_small_blocks() -> bytes:
    content = saved("GIF", TEAL.quantize(4))
    at = content.index(b",\0\0\0\0d\0d\0") + 11
    return content[:at] + full(b"\1\x44")


def jpeg(*segments: bytes) -> bytes:
    content = saved("JPEG", TEAL)
    return content[:2] + b"".join(segments) + content[2:]


def scans(count: int, side: int) -> bytes:
    """A progressive JPEG that repeats its last scan, which is empty."""
    content = saved("JPEG", Image.new("RGB", (side, side), "teal"), progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + content[-2:]


def full(part: bytes) -> bytes:
    """So many of them as fit into a file."""
    return part * (MOST // len(part))


def tiff(
    *entries: tuple[int, int, int, int], behind: bytes = b"", compression: int = 1, strips: bool = True
) -> bytes:
    """16 × 16, grey; ``behind`` begins at 4,096. An entry is a tag, a type, a count and a value.

    strips: whether there are strips, as usual.
    """
    usual = {256: 16, 257: 16, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    tags = {tag: (4, 1, value) for tag, value in usual.items()} | {tag: rest for tag, *rest in entries}
    if not strips:
        tags = {tag: rest for tag, rest in tags.items() if tag not in (273, 278, 279)}
    table = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(tags.items()))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + table + bytes(4)).ljust(4096, b"\0") + behind


def tiff_of_tiles(size: tuple[int, int], tile: tuple[int, int], kind: int = LONG) -> bytes:
    """All tiles are black, and have the same few bytes. kind: the type of their width and height."""
    count = -(-size[0] // tile[0]) * -(-size[1] // tile[1])
    one = zlib.compress(bytes(tile[0] * tile[1]), 9)
    if count == 1:
        entries = _tiles(size, tile, kind, 1, 4096, len(one))
        return tiff(*entries, behind=one, compression=8, strips=False)
    at = 4096 + 8 * count
    table = struct.pack(f"<{2 * count}I", *[at] * count, *[len(one)] * count)
    entries = _tiles(size, tile, kind, count, 4096, 4096 + 4 * count)
    return tiff(*entries, behind=table + one, compression=8, strips=False)


def _tiles(
    size: tuple[int, int], tile: tuple[int, int], kind: int, count: int, starts: int, lengths: int
) -> list[tuple[int, int, int, int]]:
    picture = [(256, LONG, 1, size[0]), (257, LONG, 1, size[1])]
    tiles = [(322, kind, 1, tile[0]), (323, kind, 1, tile[1])]
    return [*picture, *tiles, (324, LONG, count, starts), (325, LONG, count, lengths)]


def tiff_of_a_jpeg(count: int, side: int, *, has_size: bool = True, has_decoy: bool = False) -> bytes:
    """A JPEG of so many scans. has_size: its strip has one. has_decoy: it is a tile, beside a strip."""
    jpeg = scans(count, side)
    size = [(256, LONG, 1, side), (257, LONG, 1, side), (278, LONG, 1, side)]
    color = (258, 3, 1, 8), (262, 3, 1, 6), (277, 3, 1, 3)
    data = (273, LONG, 1, 4096), (279, LONG, 1, len(jpeg) * has_size)
    if has_decoy:
        data = (324, LONG, 1, 4096), (325, LONG, 1, len(jpeg))
        size += [(322, LONG, 1, side), (323, LONG, 1, side)]
    return tiff(*size, *color, *data, behind=jpeg, compression=7)


def tiff_of_strips(height: int, strip: bytes, compression: int, order: int = 1) -> bytes:
    """Strips of a row each, which all have the same bytes. order: that of the bits in a byte."""
    at = 4096 + 8 * height
    table = struct.pack(f"<{2 * height}I", *[at] * height, *[len(strip)] * height)
    tags = (257, LONG, 1, height), (278, LONG, 1, 1), (266, LONG, 1, order)
    strips = (273, LONG, height, 4096), (279, LONG, height, 4096 + 4 * height)
    return tiff(*tags, *strips, behind=table + strip, compression=compression)


def reversed_strip() -> bytes:
    """A megabyte, of which the first bytes are 16 black pixels, with the bits of each byte reversed."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    return zlib.compress(bytes(16)).translate(mirrored).ljust(MEGABYTE, b"\0")


def tiff_of_segments() -> bytes:
    """Strips with bytes of their own, each a JPEG of many empty segments."""
    strip, count = b"\xff\xd8" + b"\xff\xe5\0\2" * 16_000, 480
    starts = [4096 + 8 * count + at * len(strip) for at in range(count)]
    table = struct.pack(f"<{2 * count}I", *starts, *[len(strip)] * count)
    tags, strips = ((257, LONG, 1, count), (278, LONG, 1, 1)), (273, LONG, count, 4096)
    return tiff(
        *tags, strips, (279, LONG, count, 4096 + 4 * count), behind=table + strip * count, compression=7
    )


def bmp(compression: int, data: bytes, side: int = 5_600) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, compression, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + info + bytes(range(256)) * 4 + data


def arithmetic_jpeg() -> bytes:
    return saved("JPEG", TEAL).replace(b"\xff\xc0", b"\xff\xc9", 1)


def webp_of_chunks() -> bytes:
    return riff((b"VP8X", bytes(10)))[:30] + full(b"abcd\0\0\0\0")


def webp_in_34_bytes() -> bytes:
    """8,000 × 4,000 of one colour: five prefix codes of one symbol each."""
    size = struct.pack("<I", 7_999 | 3_999 << 14)
    return riff((b"VP8L", b"\x2f" + size + b"\x88\x88\x08\0\0\0\0\0\0"))


ATTACKS: dict[str, tuple[Callable[[], bytes], set[tuple[int, int]]]] = {
    "20,000 scans of 1 MP": (lambda: scans(20_000, 1_000), {UNREADABLE}),
    "10,000 scans of 30 MP": (lambda: scans(10_000, 5_500), {UNREADABLE}),
    "scans of a JPEG in a TIFF": (lambda: tiff_of_a_jpeg(2_000, 1_024), {UNREADABLE}),
    "scans of a JPEG of unknown size in a TIFF": (
        lambda: tiff_of_a_jpeg(60, 4_000, has_size=False),
        {UNREADABLE},
    ),
    "scans of a JPEG behind a decoy in a TIFF": (
        lambda: tiff_of_a_jpeg(60, 4_000, has_decoy=True),
        {UNREADABLE},
    ),
    "empty APP segments": (lambda: jpeg(full(segment(0xE5, b""))), {UNREADABLE}),
    "empty comments": (lambda: jpeg(full(segment(0xFE, b""))), {UNREADABLE}),
    "fill bytes": (lambda: jpeg(full(b"\xff")), {SERVED, UNREADABLE}),
    "bare markers": (lambda: jpeg(full(b"\xff\xd0")), {UNREADABLE}),
    "large APP segments": (lambda: jpeg(full(segment(0xE5, bytes(65_000)))), {SERVED, UNREADABLE}),
    "EXIF and profiles": (
        lambda: jpeg(
            full(segment(0xE1, b"Exif\0\0II*\0" + bytes(60_000)) + segment(0xE2, b"ICC_PROFILE\0\1\1abc"))
        ),
        {SERVED, UNREADABLE},
    ),
    "arithmetic coding": (arithmetic_jpeg, {UNREADABLE}),
    "GIF of small comment blocks": (lambda: gif(b"!\xfe" + full(b"\1a") + b"\0"), {UNREADABLE}),
    "GIF of small comments": (lambda: gif(full(b"!\xfe\1a\0")), {UNREADABLE}),
    "GIF of small blocks of pixels": (gif_of_small_blocks, {SERVED, UNREADABLE}),
    "empty private chunks": (lambda: png(9, 9, full(chunk(b"prVt", b""))), {UNREADABLE}),
    "empty pixel chunks": (lambda: png(9, 9, full(chunk(b"IDAT", b""))), {UNREADABLE}),
    "text bombs": (
        lambda: png(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(4 << 20))) * 2_000),
        {SERVED, UNREADABLE},
    ),
    "profile bombs": (
        lambda: png(9, 9, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200 << 20))) * 99),
        {SERVED, UNREADABLE},
    ),
    "animation": (lambda: png(9, 9, chunk(b"acTL", bytes(3) + b"\xff" + bytes(4))), {SERVED, UNREADABLE}),
    "1 × 32,000,000": (lambda: png(1, 32_000_000), {TOO_MANY_PIXELS}),
    "32,000,000 × 1": (lambda: png(32_000_000, 1), {TOO_MANY_PIXELS}),
    "30,000 × 30,000 without pixels": (lambda: png(30_000, 30_000, pixels=b""), {TOO_MANY_PIXELS}),
    "32 MP in 34 bytes": (webp_in_34_bytes, {UNREADABLE}),
    "WebP of chunks": (webp_of_chunks, {UNREADABLE}),
    "TIFF of strips": (
        lambda: tiff((273, 4, 7_000_000, 4096), (279, 4, 7_000_000, 4096), behind=bytes(28_000_000)),
        {UNREADABLE},
    ),
    "TIFF of entries": (
        lambda: tiff(*((tag, 7, 29_000_000, 4096) for tag in range(300, 60_000)), behind=bytes(29_000_000)),
        {UNREADABLE},
    ),
    "TIFF of large values": (
        lambda: tiff(*((tag, 7, 29_000_000, 4096) for tag in (700, 34675, 37724)), behind=bytes(29_000_000)),
        {SERVED, UNREADABLE},
    ),
    "TIFF of a huge tile": (
        lambda: tiff(
            *((322, 4, 1, 30_000), (323, 4, 1, 30_000), (324, 4, 1, 4096), (325, 4, 1, 99)), compression=8
        ),
        {UNREADABLE},
    ),
    "TIFF of JPEGs that share their bytes": (
        lambda: tiff_of_strips(8_000, b"\xff\xd8" + b"\xff\0" * (MOST // 2), 7),
        {UNREADABLE},
    ),
    "TIFF of strips that share their bytes, reversed": (
        lambda: tiff_of_strips(65_000, reversed_strip(), 8, order=2),
        {UNREADABLE},
    ),
    "TIFF of JPEGs of many segments": (tiff_of_segments, {UNREADABLE}),
    "TIFF of tall tiles": (lambda: tiff_of_tiles((60_000, 1), (16, 1 << 18)), {UNREADABLE}),
    "TIFF of tall tiles for 32 MP": (lambda: tiff_of_tiles((65_535, 488), (16, 3_997_632)), {UNREADABLE}),
    "TIFF of tall tiles in signed numbers": (
        lambda: tiff_of_tiles((60_000, 1), (16, 1 << 18), SIGNED_LONG),
        {UNREADABLE},
    ),
    "TIFF directories in a loop": (
        lambda: tiff((330, 4, 1, 8), (34665, 4, 1, 8), (34853, 4, 1, 8)),
        {SERVED, UNREADABLE},
    ),
    "BMP runs": (lambda: bmp(1, full(b"\1\5")), {UNREADABLE}),
    "BMP that ends at once": (lambda: bmp(1, b"\0\1"), {UNREADABLE}),
    "BMP of a huge header": (lambda: b"BM" + bytes(12) + b"\xff" * 4 + bytes(MOST), {UNREADABLE}),
}  # fmt: skip
"""By name: how it is made, and what may be said to it."""
