"""The other formats that browsers show, and PNGs beyond the table: four patches beside each other."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pixian.tests.imaging.pictures import (
    P3_COLORANTS,
    chunk,
    encoded,
    gama,
    grey_icc,
    icc,
    icc_segments,
    iccp,
    ink_icc,
    linear,
    png,
    rgb_icc,
    with_segments,
)
from pixian.tests.imaging.png_cases import ALPHA, BROKEN, COLOR

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


def opaque(colors: Any) -> tuple[tuple[int, ...], ...]:
    return tuple((*map(int, color), 255) for color in colors)


PLAIN, LIT = opaque(PATCHES), opaque(linear(PATCHES))
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
        yield Patched(f"PNG, {name}", png(size, 8, COLOR, rows, chunks), opaque(seen), 4)
    late = png(size, 8, COLOR, rows, after=gama(1) + iccp(rgb_icc()))
    yield Patched("PNG, colours described behind the pixels", late, opaque(BLUES))


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
    yield Patched("grey JPEG", grey, opaque(GREYS))
    yield Patched(
        "grey JPEG, grey ICC", with_segments(grey, *icc_segments(light_grey)), opaque(linear(GREYS))
    )
    yield Patched("grey JPEG, RGB ICC", with_segments(grey, *icc_segments(light)), opaque(linear(GREYS)))


def _patched_cmyk() -> Iterator[Patched]:
    """Adobe's CMYK JPEGs are inverted, and so is what Pillow writes."""
    ink = encoded(patches(INKS, "CMYK"), "JPEG", quality=100)
    adobe = ink.index(b"Adobe") - 4
    seen = opaque(INKS_SEEN)
    yield Patched("CMYK JPEG", ink, seen)
    yield Patched("CMYK JPEG without Adobe's mark", ink[:adobe] + ink[adobe + 16 :], seen)
    yield Patched("CMYK JPEG, RGB ICC", with_segments(ink, *icc_segments(rgb_icc())), seen)
    yield Patched("CMYK JPEG, grey ICC", with_segments(ink, *icc_segments(grey_icc())), seen)
    yield Patched("CMYK JPEG, broken ICC", with_segments(ink, *icc_segments(BROKEN)), seen)
    shown = ((230, 131, 82), (139, 169, 121), (193, 159, 137), (149, 117, 101))  # by Chromium 156
    yield Patched("CMYK JPEG, ink ICC", with_segments(ink, *icc_segments(ink_icc())), opaque(shown))
    # The same three components as YCbCr make a picture of other colours, by JFIF's formula.
    ycck = ink[: adobe + 15] + b"\2" + ink[adobe + 16 :]
    yield Patched(
        "YCCK JPEG", ycck, opaque(((164, 0, 161), (235, 176, 80), (118, 118, 118), (235, 160, 235)))
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
