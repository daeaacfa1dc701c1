"""Pictures of every kind, built byte by byte, and what is seen in them.

What is expected of PNG, JPEG, GIF, BMP and WebP is what Chromium shows, and a browser test holds both against
each other. For TIFF it is what the specification says, and libtiff's RGBA interface.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def linear(levels: Any) -> Pixels:
    """Light, 0 to 255, as sRGB has it. Source: IEC 61966-2-1."""
    light = np.asarray(levels) / 255
    curved = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curved * 255), np.uint8)


# ICC profiles. Source: ICC.1:2022.

SRGB_COLORANTS = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
P3_COLORANTS = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
D50 = (0.9642, 1.0, 0.8249)
V2, V4 = 0x02400000, 0x04200000


def icc(
    space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", pcs: bytes = b"XYZ ", version: int = V2
) -> bytes:
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(78),
        b"wtpt": _xyz(*D50),
    } | tags
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I", start + len(data)) + b"test" + struct.pack(">I", version) + kind + space + pcs
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(*D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def gamma_curve(gamma: float, version: int = V2) -> bytes:
    if version == V4:
        return b"para" + bytes(8) + struct.pack(">i", round(gamma * 65536))
    return b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)


def grey_icc(gamma: float = 1.0, **header: Any) -> bytes:
    return icc(b"GRAY", {b"kTRC": gamma_curve(gamma, header.get("version", V2))}, **header)


def rgb_icc(
    gamma: float = 1.0, colorants: Sequence[tuple[float, float, float]] = SRGB_COLORANTS, **header: Any
) -> bytes:
    curve = gamma_curve(gamma, header.get("version", V2))
    tags = {name + b"XYZ": _xyz(*color) for name, color in zip((b"r", b"g", b"b"), colorants, strict=True)}
    return icc(b"RGB ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")}, **header)


def ink_icc() -> bytes:
    """A printer's; black ink lets nothing through."""
    table = [
        (255 - 60 * c - 70 * m - 20 * y, 128 - 40 * c + 60 * m, 128 - 30 * c + 60 * y)
        if not k
        else (20, 128, 128)
        for c, m, y, k in itertools.product((0, 1), repeat=4)
    ]
    head = (
        b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    )
    lut = head + bytes(range(256)) * 4 + b"".join(map(bytes, table)) + bytes(range(256)) * 3
    return icc(b"CMYK", {b"A2B0": lut}, kind=b"prtr", pcs=b"Lab ")


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(part * 65536) for part in (x, y, z)))


# EXIF and PNG. Sources: TIFF 6.0; PNG specification.

SHORT, LONG = 3, 4


def exif(orientation: int, order: str = "<", kind: int = SHORT, count: int = 1) -> bytes:
    """A TIFF with nothing but an orientation."""
    value = struct.pack(
        order + {SHORT: "HH", LONG: "I"}[kind], *[orientation, 0][: 2 if kind == SHORT else 1]
    )
    entry = struct.pack(order + "HHI", 0x112, kind, count) + value
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    return start + struct.pack(order + "H", 1) + entry + bytes(4)


def xmp(orientation: int) -> bytes:
    about = (
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>' % orientation
    )
    rdf = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF>' % about
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/">%s</x:xmpmeta>' % rdf


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"a\0\0" + zlib.compress(profile))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def png(
    size: tuple[int, int],
    depth: int,
    color: int,
    rows: Sequence[bytes],
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """before, after: chunks around the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND")


def app(number: int, content: bytes) -> bytes:
    """A JPEG's segment for applications."""
    return bytes((0xFF, 0xE0 + number)) + struct.pack(">H", len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def icc_segments(profile: bytes, size: int = 60_000) -> list[bytes]:
    parts = [profile[at : at + size] for at in range(0, len(profile), size)]
    return [app(2, b"ICC_PROFILE\0" + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)]


# The table: kind of pixel × depth × profile × transparency.

GREY, COLOR, PALETTE, GREY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    COLOR: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    COLOR_ALPHA: (8, 16),
}
WIDTH = 16
HIDDEN = 3
"""The pixel whose colour ``tRNS`` makes transparent. With 16 bits the next one differs from it by one."""

ALPHA = 128
BROKEN = b"x" * 200
SRGB_CHUNK = chunk(b"sRGB", b"\0")

PROFILES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "nothing": (b"", ()),
    "grey ICC": (iccp(grey_icc()), (GREY, GREY_ALPHA)),
    "grey ICC v4": (iccp(grey_icc(version=V4)), (GREY, GREY_ALPHA)),
    "grey ICC in Lab": (iccp(grey_icc(pcs=b"Lab ")), ()),
    "RGB ICC": (iccp(rgb_icc()), tuple(DEPTHS)),
    "RGB ICC v4": (iccp(rgb_icc(version=V4)), tuple(DEPTHS)),
    "ink ICC": (iccp(ink_icc()), ()),
    "broken ICC": (iccp(BROKEN), ()),
    "gAMA": (gama(1.0), tuple(DEPTHS)),
    "gAMA like sRGB": (gama(0.45455), ()),
    "gAMA of nothing": (gama(0), ()),
    "gAMA and sRGB": (SRGB_CHUNK + gama(1.0), ()),
    "gAMA and cHRM of sRGB": (gama(1.0) + chunk(b"cHRM", struct.pack(
        ">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)), tuple(DEPTHS)),
    "gAMA and broken ICC": (iccp(BROKEN) + gama(1.0), tuple(DEPTHS)),
    "gAMA and ICC of sRGB's kind": (iccp(rgb_icc()) + gama(0.45455), tuple(DEPTHS)),
    "sRGB and RGB ICC": (SRGB_CHUNK + iccp(rgb_icc()), tuple(DEPTHS)),
    "cICP": (chunk(b"cICP", bytes((1, 8, 0, 1))), tuple(DEPTHS)),
    "cICP of sRGB and RGB ICC": (chunk(b"cICP", bytes((1, 13, 0, 1))) + iccp(rgb_icc()), ()),
    "two cICP": (chunk(b"cICP", bytes((1, 8, 0, 1))) + chunk(b"cICP", bytes((1, 13, 0, 1))), tuple(DEPTHS)),
}  # fmt: skip
"""Chunks that describe colours, and the kinds of pixel whose numbers are light because of them."""


@dataclass(frozen=True)
class Case:
    """seen: RGBA uint8[H, W, 4] in sRGB; what lies under alpha 0 isn't seen."""

    name: str
    content: bytes
    seen: Pixels


def png_table() -> Iterator[Case]:
    for color, depths in DEPTHS.items():
        for depth in depths:
            for name, (chunks, lights) in PROFILES.items():
                for transparent in (False, True) if color in (GREY, COLOR, PALETTE) else (False,):
                    about = f"{color}/{depth} bits, {name}{', tRNS' if transparent else ''}"
                    content = chunks + _palette(color, depth) + _trns(color, depth) * transparent
                    row = _row(color, depth)
                    seen = _seen(color, depth, lit=color in lights, transparent=transparent)
                    yield Case(about, png((WIDTH, 2), depth, color, [row, row], content), seen)


def samples(color: int, depth: int) -> list[tuple[int, ...]]:
    """The 16 pixels of a row, as they stand in the file."""
    most = (1 << min(depth, 4)) - 1
    if color == PALETTE:
        return [(at & most,) for at in range(WIDTH)]
    levels = [(at & most) * {8: 17, 16: 17 << 8}.get(depth, 1) for at in range(WIDTH)]
    if depth == 16:
        levels = [level | 0x34 for level in levels]
        levels[HIDDEN + 1] = levels[HIDDEN] + 1
    top = (1 << depth) - 1
    alpha = (ALPHA << 8 | 0x7F) if depth == 16 else ALPHA
    return [
        {GREY: (a,), COLOR: (a, top - a, a), GREY_ALPHA: (a, alpha), COLOR_ALPHA: (a, top - a, a, alpha)}[
            color
        ]
        for a in levels
    ]


def palette_color(number: int) -> tuple[int, int, int]:
    return number * 17, 255 - number * 17, 40


def _row(color: int, depth: int) -> bytes:
    pixels = samples(color, depth)
    if depth >= 8:
        return b"".join(sample.to_bytes(depth // 8, "big") for pixel in pixels for sample in pixel)
    bits = "".join(f"{pixel[0]:0{depth}b}" for pixel in pixels)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _palette(color: int, depth: int) -> bytes:
    colors = (palette_color(number) for number in range(min(16, 1 << depth)))
    return chunk(b"PLTE", b"".join(map(bytes, colors))) if color == PALETTE else b""


def _trns(color: int, depth: int) -> bytes:
    hidden = samples(color, depth)[HIDDEN]
    if color == PALETTE:
        return chunk(b"tRNS", b"\xff" * hidden[0] + b"\0")
    return chunk(b"tRNS", struct.pack(f">{len(hidden)}H", *hidden))


def _seen(color: int, depth: int, *, lit: bool, transparent: bool) -> Pixels:
    pixels = samples(color, depth)
    if color == PALETTE:
        colors = np.array([palette_color(pixel[0]) for pixel in pixels], np.uint8)
    else:
        scaled = [[_byte(sample, depth) for sample in pixel] for pixel in pixels]
        colors = np.array([pixel[:3] if len(pixel) > 2 else pixel[:1] * 3 for pixel in scaled], np.uint8)
    row = np.full((WIDTH, 4), ALPHA if color in (GREY_ALPHA, COLOR_ALPHA) else 255, np.uint8)
    row[:, :3] = linear(colors) if lit else colors
    if transparent:
        row[[pixel == pixels[HIDDEN] for pixel in pixels], 3] = 0
    return np.stack([row, row])


def _byte(sample: int, depth: int) -> int:
    return sample >> 8 if depth == 16 else sample * 255 // ((1 << depth) - 1)


# Orientation. Four corners of their own colours tell how a picture was turned.

CORNERS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))
STORED = (48, 32)


def corners() -> Image.Image:
    pixels = np.zeros((*STORED[::-1], 3), np.uint8)
    halves = (slice(None, 16), slice(16, None)), (slice(None, 24), slice(24, None))
    for (rows, columns), color in zip(itertools.product(*halves), CORNERS, strict=True):
        pixels[rows, columns] = color
    return Image.fromarray(pixels)


UPPER_LEFT = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 2, 7: 3, 8: 1}
"""Which of the corners, as stored, is at the upper left for each orientation."""


@dataclass(frozen=True)
class Turned:
    name: str
    kind: str
    content: bytes
    orientation: int


def turned() -> Iterator[Turned]:
    """Each way of saying an orientation, and the one that Chromium applies."""
    yield from _turned_pngs()
    yield from _turned_jpegs()
    notes = {
        "EXIF": {"exif": exif(6)},
        "EXIF with a prefix": {"exif": b"Exif\0\0" + exif(6)},
        "XMP": {"xmp": xmp(6)},
    }
    for name, note in notes.items():
        yield Turned(f"WebP, {name}", "WEBP", encoded(corners(), "WEBP", lossless=True, **note), 1)


def _turned_pngs() -> Iterator[Turned]:
    plain = encoded(corners(), "PNG")
    in_hex = (b"Exif\0\0" + exif(6)).hex().encode()
    profile = b"\nexif\n%8d\n%s\n" % (len(in_hex) // 2, in_hex)
    before: dict[str, tuple[bytes, int]] = {
        **{f"{n}": (chunk(b"eXIf", exif(n)), n if n in UPPER_LEFT else 1) for n in range(10)},
        "big endian": (chunk(b"eXIf", exif(6, ">")), 6),
        "a LONG": (chunk(b"eXIf", exif(6, kind=LONG)), 1),
        "two values": (chunk(b"eXIf", exif(6, count=2)), 1),
        "with JPEG's prefix": (chunk(b"eXIf", b"Exif\0\0" + exif(6)), 1),
        "two chunks": (chunk(b"eXIf", exif(6)) + chunk(b"eXIf", exif(8)), 6),
        "a broken chunk first": (chunk(b"eXIf", b"xx") + chunk(b"eXIf", exif(6)), 1),
        "XMP": (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)), 1),
        "a text profile": (chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)), 1),
        "a text profile, plain": (chunk(b"tEXt", b"Raw profile type APP1\0" + profile), 1),
        "a text called exif": (chunk(b"tEXt", b"exif\0Exif\0\0" + exif(6)), 1),
    }
    for name, (chunks, orientation) in before.items():
        yield Turned(f"PNG, {name}", "PNG", plain[:33] + chunks + plain[33:], orientation)
    yield Turned("PNG, behind the pixels", "PNG", plain[:-12] + chunk(b"eXIf", exif(6)) + plain[-12:], 1)


def _turned_jpegs() -> Iterator[Turned]:
    plain = encoded(corners(), "JPEG", quality=95, subsampling=0)

    def block(content: bytes, prefix: bytes = b"Exif\0\0") -> bytes:
        return app(1, prefix + content)

    far = exif(6)[:4] + struct.pack("<I", 5000) + bytes(4992) + exif(6)[8:]
    more_entries = exif(6)[:8] + struct.pack("<H", 5) + exif(6)[10:22]
    segments: dict[str, tuple[list[bytes], int]] = {
        **{f"{n}": ([block(exif(n))], n if n in UPPER_LEFT else 1) for n in range(10)},
        "big endian": ([block(exif(6, ">"))], 6),
        "a LONG": ([block(exif(6, kind=LONG))], 1),
        "a LONG, big endian": ([block(exif(6, ">", kind=LONG))], 1),
        "two values": ([block(exif(6, count=2))], 1),
        "two segments, 6 and 8": ([block(exif(6)), block(exif(8))], 6),
        "two segments, 1 and 6": ([block(exif(1)), block(exif(6))], 1),
        "two segments, 9 and 6": ([block(exif(9)), block(exif(6))], 1),
        "two segments, broken and 6": ([block(b"x" * 12), block(exif(6))], 1),
        "two segments, empty and 6": ([block(b""), block(exif(6))], 6),
        "one block in two segments": ([block(exif(6)[:14]), block(exif(6)[14:])], 1),
        "another byte in the prefix": ([block(exif(6), b"Exif\0\xff")], 6),
        "XMP": ([block(xmp(6), b"http://ns.adobe.com/xap/1.0/\0")], 1),
        "XMP and EXIF": ([block(exif(1)), block(xmp(6), b"http://ns.adobe.com/xap/1.0/\0")], 1),
        "cut off behind the tag": ([block(more_entries)], 6),
        "a directory far away": ([block(far)], 6),
        "a directory at 0": ([block(exif(6)[:4] + bytes(4) + exif(6)[8:])], 1),
        "another number than 42": ([block(exif(6).replace(b"*", b"+", 1))], 1),
    }
    for name, (parts, orientation) in segments.items():
        yield Turned(f"JPEG, {name}", "JPEG", with_segments(plain, *parts), orientation)
    mpo = {"exif": b"Exif\0\0" + exif(6), "save_all": True, "append_images": [corners()]}
    yield Turned("MPO", "JPEG", encoded(corners(), "MPO", **mpo), 6)


# The other formats that browsers show: four patches beside each other.

PATCHES = ((200, 60, 40), (40, 200, 60), (128, 128, 128), (30, 60, 90))
PATCH = 16
INKS = ((55, 195, 215, 20), (215, 55, 195, 20), (127, 127, 127, 20), (225, 195, 165, 20))
INKS_SEEN = ((184, 55, 36), (36, 184, 55), (118, 118, 118), (28, 55, 83))
"""The same light, less what black ink takes."""


@dataclass(frozen=True)
class Patched:
    """seen: each patch's RGBA in sRGB. by: how many levels the format's loss may cost."""

    name: str
    content: bytes
    seen: tuple[tuple[int, ...], ...]
    by: int = 3


def patches(colors: Sequence[tuple[int, ...]], mode: str = "RGB") -> Image.Image:
    row = np.repeat(np.array(colors, np.uint8), PATCH, axis=0)
    return (
        Image.fromarray(np.stack([row] * PATCH), mode)
        if mode == "CMYK"
        else Image.fromarray(np.stack([row] * PATCH))
    )


def patched() -> Iterator[Patched]:
    yield from _described_pngs()
    yield from _patched_jpegs()
    yield from _patched_cmyk()
    yield from _patched_webps()
    yield from _patched_bmps()
    yield from _patched_gifs()


def _opaque(colors: Any) -> tuple[tuple[int, ...], ...]:
    return tuple((*map(int, color), 255) for color in colors)


PLAIN, LIT = _opaque(PATCHES), _opaque(linear(PATCHES))
GREYS = tuple((level,) * 3 for level in (20, 100, 180, 250))


BLUES = tuple((level, 40, 200) for level in (0, 85, 170, 255))


def chrm(*parts: int) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *parts))


def cicp(primaries: int, transfer: int, matrix: int = 0) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, matrix, 1)))


def _described_pngs() -> Iterator[Patched]:
    """Descriptions of colours beyond the table's, and what Chromium 156 makes of them."""
    srgb = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    p3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    lit, as_is = linear(BLUES).tolist(), np.array(BLUES).tolist()
    wide = [[0, 112, 237], [164, 108, 236], [229, 103, 236], [255, 98, 235]]
    in_p3 = [[0, 36, 210], [91, 31, 209], [187, 2, 208], [255, 0, 207]]
    warm = [[0, 109, 226], [158, 110, 226], [220, 110, 227], [255, 111, 227]]

    def blues(*reds: int, green: int, blue: int) -> list[list[int]]:
        return [[red, green, blue] for red in reds]

    cases: dict[str, tuple[bytes, list[list[int]]]] = {
        "cHRM alone": (chrm(*p3), as_is),
        "gAMA, cHRM of P3": (gama(1) + chrm(*p3), wide),
        "gAMA 1/2.2, cHRM": (gama(0.45455) + chrm(*srgb), blues(0, 84, 171, 255, green=35, blue=201)),
        "gAMA, cHRM with a warm white": (gama(1) + chrm(34567, 35850, *srgb[2:]), warm),
        "gAMA, cHRM of nothing": (gama(1) + chrm(*[0] * 8), as_is),
        "gAMA, cHRM without an area": (gama(1) + chrm(31270, 32900, *srgb[2:4] * 3), as_is),
        "gAMA, huge cHRM": (gama(1) + chrm(*[(1 << 32) - 1] * 8), as_is),
        "gAMA near 1/2.2": (gama(0.43182), as_is),
        "gAMA not so near 1/2.2": (gama(0.43181), blues(0, 79, 168, 255, green=31, blue=199)),
        "gAMA 0.6": (gama(0.6), blues(0, 111, 189, 255, green=60, blue=213)),
        "gAMA 21474": (gama(21474), blues(0, 255, 255, 255, green=255, blue=255)),
        "gAMA 0.00001": (gama(0.00001), blues(0, 0, 0, 255, green=0, blue=0)),
        "two gAMA": (gama(1) + gama(0.45455), lit),
        "P3 ICC": (iccp(rgb_icc(2.2, P3_COLORANTS)), in_p3),
        "ICC without curves": (iccp(icc(b"RGB ", {})), as_is),
        "ICC of version 5": (iccp(rgb_icc(version=0x05000000)), as_is),
        "ICC cut off": (iccp(rgb_icc()[:-60]), as_is),
        "ICC with something behind": (iccp(rgb_icc() + b"more"), lit),
        "ICC twice": (iccp(rgb_icc()) + iccp(rgb_icc(2.2)), lit),
        "cICP P3": (cicp(12, 8), wide),
        "cICP DCI": (cicp(11, 8), [[0, 112, 237], [162, 107, 236], [224, 102, 236], [255, 97, 235]]),
        "cICP BT.2020": (cicp(9, 8), [[0, 115, 239], [170, 101, 238], [250, 84, 237], [255, 61, 237]]),
        "cICP XYZ": (cicp(10, 8), [[0, 157, 240], [172, 18, 242], [255, 0, 245], [255, 0, 247]]),
        "cICP BT.601": (cicp(6, 8), [[34, 113, 230], [155, 115, 230], [210, 117, 229], [250, 118, 229]]),
        "cICP PQ": (cicp(9, 16), [[0, 0, 255], [0, 0, 255], [186, 0, 255], [255, 0, 102]]),
        "cICP HLG": (cicp(9, 18), [[0, 22, 172], [58, 8, 177], [166, 0, 189], [255, 0, 152]]),
        "cICP BT.709": (cicp(1, 1), blues(0, 76, 165, 255, green=30, blue=196)),
        "unknown cICP, ICC": (cicp(1, 2) + iccp(rgb_icc()), lit),
        "cICP of wrong length, ICC": (chunk(b"cICP", b"\1\x0d\0") + iccp(rgb_icc()), lit),
        # Pillow would take a text for what another chunk says.
        "texts called like settings": (
            b"".join(chunk(b"tEXt", name + b"\0what") for name in (b"gamma", b"cicp", b"transparency")),
            as_is,
        ),
    }
    size, rows = (4 * PATCH, PATCH), [np.asarray(patches(BLUES))[0].tobytes()] * PATCH
    for name, (chunks, seen) in cases.items():
        yield Patched(f"PNG, {name}", png(size, 8, COLOR, rows, chunks), _opaque(seen), 4)
    late = png(size, 8, COLOR, rows, after=gama(1) + iccp(rgb_icc()))
    yield Patched("PNG, colours described behind the pixels", late, _opaque(BLUES))


def _patched_jpegs() -> Iterator[Patched]:
    color = encoded(patches(PATCHES), "JPEG", quality=100, subsampling=0)
    grey = encoded(patches(GREYS).convert("L"), "JPEG", quality=100)
    light, light_grey, srgb_like = rgb_icc(), grey_icc(), rgb_icc(2.2)
    yield Patched("JPEG", color, PLAIN)
    yield Patched("JPEG, RGB ICC", with_segments(color, *icc_segments(light)), LIT)
    yield Patched("JPEG, RGB ICC in pieces", with_segments(color, *icc_segments(light, 200)), LIT)
    backwards = icc_segments(light, 200)[::-1]
    yield Patched("JPEG, RGB ICC in pieces, backwards", with_segments(color, *backwards), LIT)
    yield Patched("JPEG, RGB ICC, a piece missing", with_segments(color, *backwards[1:]), PLAIN)
    yield Patched(
        "JPEG, two RGB ICC", with_segments(color, *icc_segments(light), *icc_segments(srgb_like)), LIT
    )
    yield Patched("JPEG, grey ICC", with_segments(color, *icc_segments(light_grey)), PLAIN)
    yield Patched("JPEG, ink ICC", with_segments(color, *icc_segments(ink_icc())), PLAIN)
    yield Patched("JPEG, broken ICC", with_segments(color, *icc_segments(BROKEN)), PLAIN)
    yield Patched("grey JPEG", grey, _opaque(GREYS))
    yield Patched(
        "grey JPEG, grey ICC", with_segments(grey, *icc_segments(light_grey)), _opaque(linear(GREYS))
    )
    yield Patched("grey JPEG, RGB ICC", with_segments(grey, *icc_segments(light)), _opaque(linear(GREYS)))


def _patched_cmyk() -> Iterator[Patched]:
    """Adobe's CMYK JPEGs are inverted, and so is what Pillow writes."""
    ink = encoded(patches(INKS, "CMYK"), "JPEG", quality=100)
    adobe = ink.index(b"Adobe") - 4
    seen = _opaque(INKS_SEEN)
    yield Patched("CMYK JPEG", ink, seen)
    yield Patched("CMYK JPEG without Adobe's mark", ink[:adobe] + ink[adobe + 16 :], seen)
    yield Patched("CMYK JPEG, RGB ICC", with_segments(ink, *icc_segments(rgb_icc())), seen)
    yield Patched("CMYK JPEG, grey ICC", with_segments(ink, *icc_segments(grey_icc())), seen)
    yield Patched("CMYK JPEG, broken ICC", with_segments(ink, *icc_segments(BROKEN)), seen)
    shown = ((230, 131, 82), (139, 169, 121), (193, 159, 137), (149, 117, 101))  # by Chromium 156
    yield Patched("CMYK JPEG, ink ICC", with_segments(ink, *icc_segments(ink_icc())), _opaque(shown))
    # The same three components as YCbCr make a picture of other colours, by JFIF's formula.
    ycck = ink[: adobe + 15] + b"\2" + ink[adobe + 16 :]
    yield Patched(
        "YCCK JPEG", ycck, _opaque(((164, 0, 161), (235, 176, 80), (118, 118, 118), (235, 160, 235)))
    )


def _patched_webps() -> Iterator[Patched]:
    def webp(image: Image.Image, **options: Any) -> bytes:
        return encoded(image, "WEBP", lossless=True, exact=True, **options)

    yield Patched("WebP", webp(patches(PATCHES)), PLAIN)
    yield Patched("WebP, RGB ICC", webp(patches(PATCHES), icc_profile=rgb_icc()), LIT)
    yield Patched("WebP, grey ICC", webp(patches(PATCHES), icc_profile=grey_icc()), PLAIN)
    faint = tuple((*color, ALPHA) for color in PATCHES)
    yield Patched("WebP with alpha", webp(patches(faint)), faint)


def _patched_gifs() -> Iterator[Patched]:
    image = patches(PATCHES).quantize(8)
    plain = encoded(image, "GIF")
    yield Patched("GIF", plain, PLAIN)
    hidden = encoded(image, "GIF", transparency=image.getpixel((0, 0)))
    yield Patched("GIF with transparency", hidden, ((0, 0, 0, 0), *PLAIN[1:]))
    profile, at = rgb_icc(), plain.index(b",")
    pieces = (profile[start : start + 255] for start in range(0, len(profile), 255))
    block = b"!\xff\x0bICCRGBG1012" + b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"
    yield Patched("GIF, RGB ICC", plain[:at] + block + plain[at:], PLAIN)


def bmp(
    size: int, colors: bytes, bits: int, masks: Sequence[int], kind: bytes, profile: bytes = b""
) -> bytes:
    """size: of the header: 40, or 108 and 124 for those that describe colours, as ``kind`` says."""
    width = 4 * PATCH
    info = struct.pack(
        "<IiiHHIIiiII", size, width, PATCH, 1, bits, 3 if any(masks) else 0, len(colors), 0, 0, 0, 0
    )
    if size > 40:
        primaries = [
            round(part * (1 << 30)) for part in (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)
        ]
        info += struct.pack("<IIII4s9i3I", *masks, kind, *primaries, 1 << 16, 1 << 16, 1 << 16)
    if size == 124:
        info += struct.pack("<IIII", 4, size + len(colors), len(profile), 0)
    start = 14 + size
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(colors) + len(profile), 0, 0, start)
        + info
        + colors
        + profile
    )


def _patched_bmps() -> Iterator[Patched]:
    nothing, argb = (0, 0, 0, 0), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    bgr = np.asarray(patches(PATCHES))[..., ::-1]
    bgra = np.dstack([bgr, np.full(bgr.shape[:2], ALPHA, np.uint8)]).tobytes()
    faint = tuple((*color, ALPHA) for color in PATCHES)
    yield Patched("BMP", encoded(patches(PATCHES), "BMP"), PLAIN)
    yield Patched("BMP with a palette", encoded(patches(PATCHES).quantize(8), "BMP"), PLAIN)
    yield Patched("BMP of 32 bits", bmp(40, bgra, 32, nothing, b""), PLAIN)
    yield Patched("BMP with calibrated colours", bmp(108, bgr.tobytes(), 24, nothing, bytes(4)), PLAIN)
    yield Patched("BMP in sRGB", bmp(108, bgr.tobytes(), 24, nothing, b"BGRs"), PLAIN)
    yield Patched("BMP with alpha", bmp(124, bgra, 32, argb, b"BGRs"), faint)
    yield Patched("BMP, alpha not declared", bmp(124, bgra, 32, (*argb[:3], 0), b"BGRs"), PLAIN)
    yield Patched("BMP, RGB ICC", bmp(124, bgr.tobytes(), 24, nothing, b"DEBM", rgb_icc()), LIT)


# TIFF. What is expected is what the specification says. libtiff's RGBA interface, asked once, agrees within
# two levels, save that it multiplies colours by alpha, heeds none beside 16-bit grey, and has its own Lab.

WHITE_IS_ZERO, BLACK_IS_ZERO, TIFF_PALETTE, INK, YCBCR, LAB, ICC_LAB = 0, 1, 3, 5, 6, 8, 9
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2
LEVELS = (0, 51, 102, 255)
FLOAT, SIGNED = 3, 2


def tiff(
    size: tuple[int, int],
    strips: Sequence[bytes],
    bits: Sequence[int],
    photometric: int,
    order: str = "<",
    **tags: tuple[int, Sequence[int] | bytes],
) -> bytes:
    """An uncompressed TIFF. strips: one, or one a plane. tags: others by number, as type and values."""
    chunked = {tag: (SHORT, [value]) for tag, value in ((259, 1), (262, photometric), (277, len(bits)))}
    fields: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (LONG, size[:1]),
        257: (LONG, size[1:]),
        **chunked,
    }
    fields |= {258: (SHORT, bits), 278: (LONG, size[1:]), 279: (LONG, [len(strip) for strip in strips])}
    starts = list(itertools.accumulate((len(strip) for strip in strips), initial=8))
    fields |= {273: (LONG, starts[:-1]), 284: (SHORT, [1 if len(strips) == 1 else 2])}
    fields |= {int(name.removeprefix("tag")): field for name, field in tags.items()}
    directory = starts[-1]
    far = directory + 2 + 12 * len(fields) + 4
    table, values = struct.pack(order + "H", len(fields)), b""
    for tag, (kind, field) in sorted(fields.items()):
        raw = (
            field
            if isinstance(field, bytes)
            else struct.pack(f"{order}{len(field)}{'H' if kind == SHORT else 'I'}", *field)
        )
        if len(raw) > 4:
            values, raw = values + raw, struct.pack(order + "I", far + len(values))
        table += struct.pack(order + "HHI", tag, kind, len(field)) + raw.ljust(4, b"\0")
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, directory)
    return start + b"".join(strips) + table + bytes(4) + values


def tiffs() -> Iterator[Patched]:
    for order, name in (("<", ""), (">", ", big endian")):
        for case in itertools.chain(
            _grey_tiffs(order), _color_tiffs(order), _ink_tiffs(order), _lab_tiffs(order)
        ):
            yield Patched(f"TIFF, {case.name}{name}", case.content, case.seen, case.by)


def _strip(samples: Sequence[tuple[int, ...]], depth: int, order: str) -> bytes:
    """One of each patch's samples a pixel, 0 to 255, in 8 or 16 bits."""
    kind, scale = {8: ("B", 1), 16: ("H", 257)}[depth]
    row = [sample * scale for pixel in samples for _ in range(PATCH) for sample in pixel]
    return struct.pack(f"{order}{len(row)}{kind}", *row) * PATCH


def _tiff_of(
    samples: Sequence[tuple[int, ...]],
    depth: int,
    photometric: int,
    order: str,
    *,
    planar: bool = False,
    **tags: Any,
) -> bytes:
    planes = (
        [[(sample,) for sample in plane] for plane in zip(*samples, strict=True)] if planar else [samples]
    )
    strips = [_strip(plane, depth, order) for plane in planes]
    return tiff((4 * PATCH, PATCH), strips, [depth] * len(samples[0]), photometric, order, **tags)


def extra(kind: int) -> dict[str, Any]:
    return {"tag338": (SHORT, [kind])}


def profiled(profile: bytes) -> dict[str, Any]:
    return {"tag34675": (7, profile)}


def _grey_tiffs(order: str) -> Iterator[Patched]:
    greys, negative = [(level,) * 3 for level in LEVELS], [(255 - level,) * 3 for level in LEVELS]
    for depth in (8, 16):
        about = f"grey of {depth} bits"
        one, two = [(level,) for level in LEVELS], [(level, 128) for level in LEVELS]
        halved = [(level * 128 // 255, 128) for level in LEVELS]
        faint = tuple((*grey, 128) for grey in greys)
        for photometric, name, seen in ((1, "", greys), (0, ", white is zero", negative)):
            yield Patched(about + name, _tiff_of(one, depth, photometric, order), _opaque(seen), 1)
            content = _tiff_of(two, depth, photometric, order, **extra(STRAIGHT))
            yield Patched(f"{about}{name}, alpha", content, tuple((*grey, 128) for grey in seen), 1)
            content = _tiff_of(two, depth, photometric, order, **extra(UNSPECIFIED))
            yield Patched(f"{about}{name}, something unspecified", content, _opaque(seen), 1)
            yield Patched(
                f"{about}{name}, something untold", _tiff_of(two, depth, photometric, order), _opaque(seen), 1
            )
        content = _tiff_of(halved, depth, BLACK_IS_ZERO, order, **extra(PREMULTIPLIED))
        yield Patched(f"{about}, premultiplied alpha", content, faint, 2)
        content = _tiff_of(one, depth, BLACK_IS_ZERO, order, **profiled(grey_icc()))
        yield Patched(f"{about}, grey ICC", content, _opaque(linear(greys)), 1)
        content = _tiff_of(one, depth, BLACK_IS_ZERO, order, **profiled(rgb_icc()))
        yield Patched(f"{about}, RGB ICC", content, _opaque(linear(greys)), 1)
        content = _tiff_of(one, depth, WHITE_IS_ZERO, order, **profiled(grey_icc()))
        yield Patched(f"{about}, white is zero, grey ICC", content, _opaque(linear(negative)), 1)
        content = _tiff_of(two, depth, BLACK_IS_ZERO, order, **extra(STRAIGHT), **profiled(grey_icc()))
        lit = tuple((*grey[:3], 128) for grey in _opaque(linear(greys)))
        yield Patched(f"{about}, alpha, grey ICC", content, lit, 1)
    yield from _narrow_tiffs(order)
    yield from _number_tiffs(order)


def _narrow_tiffs(order: str) -> Iterator[Patched]:
    size, most = (4 * PATCH, PATCH), {1: 1, 2: 3, 4: 15}
    for bits in (1, 2, 4):
        numbers = [at * most[bits] // 3 for at in range(4)] if bits > 1 else [0, 1, 0, 1]
        row = "".join(f"{number:0{bits}b}" * PATCH for number in numbers)
        strip = int(row, 2).to_bytes(len(row) // 8, "big") * PATCH
        levels = [number * 255 // most[bits] for number in numbers]
        yield Patched(
            f"grey of {bits} bits",
            tiff(size, [strip], [bits], 1, order),
            _opaque([(v,) * 3 for v in levels]),
            0,
        )
        negative = _opaque([(255 - level,) * 3 for level in levels])
        yield Patched(
            f"grey of {bits} bits, white is zero", tiff(size, [strip], [bits], 0, order), negative, 0
        )
        colors = [palette_color(number) for number in range(1 << bits)]
        for name, scale in (("", 257), (", a map of 8 bits", 1)):
            table = [color[part] * scale for part in range(3) for color in colors]
            content = tiff(size, [strip], [bits], TIFF_PALETTE, order, tag320=(SHORT, table))
            yield Patched(f"palette of {bits} bits{name}", content, _opaque([colors[n] for n in numbers]), 0)


def _number_tiffs(order: str) -> Iterator[Patched]:
    """Without an agreed white: the darkest is black, the brightest white."""
    size, greys = (4 * PATCH, PATCH), _opaque([(level,) * 3 for level in LEVELS])
    negative = _opaque([(255 - level,) * 3 for level in LEVELS])
    floats = struct.pack(f"{order}{4 * PATCH}f", *np.repeat(np.array(LEVELS) / 255, PATCH)) * PATCH
    yield Patched("floats", tiff(size, [floats], [32], 1, order, tag339=(SHORT, [FLOAT])), greys, 1)
    yield Patched(
        "floats, white is zero", tiff(size, [floats], [32], 0, order, tag339=(SHORT, [FLOAT])), negative, 1
    )
    wide = struct.pack(f"{order}{4 * PATCH}I", *np.repeat(np.array(LEVELS) << 22, PATCH)) * PATCH
    yield Patched("numbers of 32 bits", tiff(size, [wide], [32], 1, order), greys, 1)
    signed = struct.pack(f"{order}{4 * PATCH}h", *np.repeat(np.array(LEVELS) * 100 - 10_000, PATCH)) * PATCH
    yield Patched("signed numbers", tiff(size, [signed], [16], 1, order, tag339=(SHORT, [SIGNED])), greys, 1)
    packed = "".join(f"{level * 4095 // 255:012b}" * PATCH for level in LEVELS)
    twelve = int(packed, 2).to_bytes(len(packed) // 8, "big") * PATCH
    yield Patched("grey of 12 bits", tiff(size, [twelve], [12], 1, order), greys, 1)


def _color_tiffs(order: str) -> Iterator[Patched]:
    faint = tuple((*color, 128) for color in PATCHES)
    halved = [(*(part * 128 // 255 for part in color), 128) for color in PATCHES]
    for depth in (8, 16):
        for planar, name in ((False, ""), (True, ", in planes")):
            about = f"RGB of {depth} bits{name}"
            yield Patched(about, _tiff_of(PATCHES, depth, 2, order, planar=planar), PLAIN, 1)
            content = _tiff_of(faint, depth, 2, order, planar=planar, **extra(STRAIGHT))
            yield Patched(f"{about}, alpha", content, faint, 1)
            content = _tiff_of(halved, depth, 2, order, planar=planar, **extra(PREMULTIPLIED))
            yield Patched(f"{about}, premultiplied alpha", content, faint, 3)
        content = _tiff_of(PATCHES, depth, 2, order, **profiled(rgb_icc()))
        yield Patched(f"RGB of {depth} bits, RGB ICC", content, LIT, 1)
        for name, profile in (("grey", grey_icc()), ("ink", ink_icc()), ("broken", BROKEN)):
            content = _tiff_of(PATCHES, depth, 2, order, **profiled(profile))
            yield Patched(f"RGB of {depth} bits, {name} ICC", content, PLAIN, 1)


def _ink_tiffs(order: str) -> Iterator[Patched]:
    seen = _opaque(INKS_SEEN)
    with_alpha = [(*ink, 100) for ink in INKS]
    for depth in (8, 16):
        yield Patched(f"CMYK of {depth} bits", _tiff_of(INKS, depth, INK, order), seen, 1)
        yield Patched(
            f"CMYK of {depth} bits, in planes", _tiff_of(INKS, depth, INK, order, planar=True), seen, 1
        )
    for kind, name in (
        (STRAIGHT, "alpha"),
        (PREMULTIPLIED, "premultiplied alpha"),
        (UNSPECIFIED, "unspecified"),
    ):
        yield Patched(f"CMYK, {name}", _tiff_of(with_alpha, 8, INK, order, **extra(kind)), seen, 1)
    for name, profile in (("RGB", rgb_icc()), ("grey", grey_icc()), ("broken", BROKEN)):
        yield Patched(f"CMYK, {name} ICC", _tiff_of(INKS, 8, INK, order, **profiled(profile)), seen, 1)
    # Of the paper (no ink), and of all that black ink hides.
    papers = [(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 255)]
    shown = _opaque([(255, 255, 255), (23, 23, 23)] * 2)
    yield Patched("CMYK, ink ICC", _tiff_of(papers, 8, INK, order, **profiled(ink_icc())), shown, 3)


def _lab_tiffs(order: str) -> Iterator[Patched]:
    """By CIE's formulas: 53, 80, 67 is sRGB's red; 32, 79, -108 its blue."""
    labs = ((0, 0, 0), (100, 0, 0), (53.2, 80.1, 67.2), (54.3, 0, 0))
    seen = _opaque(((0, 0, 0), (255, 255, 255), (255, 0, 0), (129, 129, 129)))
    bytes_of = [(round(light * 2.55), round(a) % 256, round(b) % 256) for light, a, b in labs]
    moved = [(light, a ^ 128, b ^ 128) for light, a, b in bytes_of]
    yield Patched("Lab of 8 bits", _tiff_of(bytes_of, 8, LAB, order), seen, 18)
    yield Patched("Lab of 16 bits", _tiff_of(bytes_of, 16, LAB, order), seen, 18)
    yield Patched("Lab as ICC has it", _tiff_of(moved, 8, ICC_LAB, order), seen, 18)
    video = ((16, 128, 128), (235, 128, 128), (128, 128, 128), (81, 90, 240))
    full = _opaque(((16,) * 3, (235,) * 3, (128,) * 3, (238, 14, 14)))
    yield Patched("YCbCr", _tiff_of(video, 8, YCBCR, order, tag530=(SHORT, [1, 1])), full, 2)
    quarters = b"".join(bytes((y, y, y, y, cb, cr)) * (PATCH // 2) for y, cb, cr in video) * (PATCH // 2)
    sampled = tiff((4 * PATCH, PATCH), [quarters], [8, 8, 8], YCBCR, order)
    yield Patched("YCbCr, each colour for four pixels", sampled, full, 2)
