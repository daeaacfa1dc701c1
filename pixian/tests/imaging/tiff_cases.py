"""TIFFs of every kind. What is expected is what the specification says.

libtiff's RGBA interface, asked once, agrees within two levels, save that it multiplies colours by alpha,
heeds none beside 16-bit grey, and has its own Lab.
"""

import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pixian.tests.imaging.format_cases import (
    INKS,
    INKS_SEEN,
    LIT,
    PATCH,
    PATCHES,
    PLAIN,
    Patched,
    opaque,
)
from pixian.tests.imaging.pictures import LONG, SHORT, grey_icc, ink_icc, linear, rgb_icc
from pixian.tests.imaging.png_cases import BROKEN, palette_color

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
            yield Patched(about + name, _tiff_of(one, depth, photometric, order), opaque(seen), 1)
            content = _tiff_of(two, depth, photometric, order, **extra(STRAIGHT))
            yield Patched(f"{about}{name}, alpha", content, tuple((*grey, 128) for grey in seen), 1)
            content = _tiff_of(two, depth, photometric, order, **extra(UNSPECIFIED))
            yield Patched(f"{about}{name}, something unspecified", content, opaque(seen), 1)
            yield Patched(
                f"{about}{name}, something untold", _tiff_of(two, depth, photometric, order), opaque(seen), 1
            )
        content = _tiff_of(halved, depth, BLACK_IS_ZERO, order, **extra(PREMULTIPLIED))
        yield Patched(f"{about}, premultiplied alpha", content, faint, 2)
        content = _tiff_of(one, depth, BLACK_IS_ZERO, order, **profiled(grey_icc()))
        yield Patched(f"{about}, grey ICC", content, opaque(linear(greys)), 1)
        content = _tiff_of(one, depth, BLACK_IS_ZERO, order, **profiled(rgb_icc()))
        yield Patched(f"{about}, RGB ICC", content, opaque(linear(greys)), 1)
        content = _tiff_of(one, depth, WHITE_IS_ZERO, order, **profiled(grey_icc()))
        yield Patched(f"{about}, white is zero, grey ICC", content, opaque(linear(negative)), 1)
        content = _tiff_of(two, depth, BLACK_IS_ZERO, order, **extra(STRAIGHT), **profiled(grey_icc()))
        lit = tuple((*grey[:3], 128) for grey in opaque(linear(greys)))
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
            opaque([(v,) * 3 for v in levels]),
            0,
        )
        negative = opaque([(255 - level,) * 3 for level in levels])
        yield Patched(
            f"grey of {bits} bits, white is zero", tiff(size, [strip], [bits], 0, order), negative, 0
        )
        colors = [palette_color(number) for number in range(1 << bits)]
        for name, scale in (("", 257), (", a map of 8 bits", 1)):
            table = [color[part] * scale for part in range(3) for color in colors]
            content = tiff(size, [strip], [bits], TIFF_PALETTE, order, tag320=(SHORT, table))
            yield Patched(f"palette of {bits} bits{name}", content, opaque([colors[n] for n in numbers]), 0)


def _number_tiffs(order: str) -> Iterator[Patched]:
    """Without an agreed white: the darkest is black, the brightest white."""
    size, greys = (4 * PATCH, PATCH), opaque([(level,) * 3 for level in LEVELS])
    negative = opaque([(255 - level,) * 3 for level in LEVELS])
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
    seen = opaque(INKS_SEEN)
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
    shown = opaque([(255, 255, 255), (23, 23, 23)] * 2)
    yield Patched("CMYK, ink ICC", _tiff_of(papers, 8, INK, order, **profiled(ink_icc())), shown, 3)


def _lab_tiffs(order: str) -> Iterator[Patched]:
    """By CIE's formulas: 53, 80, 67 is sRGB's red; 32, 79, -108 its blue."""
    labs = ((0, 0, 0), (100, 0, 0), (53.2, 80.1, 67.2), (54.3, 0, 0))
    seen = opaque(((0, 0, 0), (255, 255, 255), (255, 0, 0), (129, 129, 129)))
    bytes_of = [(round(light * 2.55), round(a) % 256, round(b) % 256) for light, a, b in labs]
    moved = [(light, a ^ 128, b ^ 128) for light, a, b in bytes_of]
    yield Patched("Lab of 8 bits", _tiff_of(bytes_of, 8, LAB, order), seen, 18)
    yield Patched("Lab of 16 bits", _tiff_of(bytes_of, 16, LAB, order), seen, 18)
    yield Patched("Lab as ICC has it", _tiff_of(moved, 8, ICC_LAB, order), seen, 18)
    video = ((16, 128, 128), (235, 128, 128), (128, 128, 128), (81, 90, 240))
    full = opaque(((16,) * 3, (235,) * 3, (128,) * 3, (238, 14, 14)))
    yield Patched("YCbCr", _tiff_of(video, 8, YCBCR, order, tag530=(SHORT, [1, 1])), full, 2)
    quarters = b"".join(bytes((y, y, y, y, cb, cr)) * (PATCH // 2) for y, cb, cr in video) * (PATCH // 2)
    sampled = tiff((4 * PATCH, PATCH), [quarters], [8, 8, 8], YCBCR, order)
    yield Patched("YCbCr, each colour for four pixels", sampled, full, 2)
