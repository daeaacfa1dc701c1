"""PNGs of every kind of pixel, depth, profile and transparency, and what Chromium shows of them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pixian.tests.imaging.pictures import (
    V4,
    Pixels,
    chunk,
    gama,
    grey_icc,
    iccp,
    ink_icc,
    linear,
    png,
    rgb_icc,
)

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
