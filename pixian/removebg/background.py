"""``bg_color``: a colour that may let through what lies below it, read and laid behind a cut-out."""

import re

import numpy as np
from PIL import ImageColor

from pixian.imaging.convert import Pixels
from pixian.imaging.fill_color import in_space_of

Paint = tuple[int, int, int, int]
"""Red, green, blue and alpha, 0 to 255 each."""

WHITE: Paint = (255, 255, 255, 255)
OPAQUE = 255
HEX = re.compile(r"#?([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.ASCII | re.IGNORECASE)
STRIP_PIXELS = 1 << 16
"""Worked on at once, since the wider numbers of all 25 megapixels would take a gigabyte."""


def parse_paint(text: str) -> Paint | None:
    """Out of 3, 4, 6 or 8 hexadecimal digits, with ``#`` or without, or a name of CSS; None where it is
    wholly transparent. Raises ValueError."""
    found = HEX.fullmatch(text)
    # Pillow reads more than these: rgb(300, 0, 0), too.
    if not found and text.lower() not in ImageColor.colormap:
        raise ValueError(text)
    red, green, blue, *alpha = ImageColor.getrgb(f"#{found[1]}" if found else text)
    paint = (red, green, blue, alpha[0] if alpha else OPAQUE)
    return paint if paint[3] else None


def lay_behind(pixels: Pixels, paint: Paint, profile: bytes | None) -> None:
    """The colour behind a cut-out, contiguous RGBA uint8[H, W, 4] with straight alpha, in place.

    profile: the ICC profile the picture is described by, None for sRGB; the colour is converted to it.
    """
    ground = np.array([*in_space_of(paint[:3], profile), paint[3]], np.uint8)
    every = pixels.reshape(-1, 4)
    for start in range(0, len(every), STRIP_PIXELS):
        strip = every[start : start + STRIP_PIXELS]
        alpha = strip[:, 3]
        # Only edges are reckoned, and whole pixels are moved: on a photo some three times as fast.
        empty, edge = alpha == 0, np.flatnonzero((alpha > 0) & (alpha < OPAQUE))
        whole = strip.view(np.uint32)
        whole[empty] = ground.view(np.uint32)
        whole[edge] = _mixed(strip[edge], ground).view(np.uint32)


def _mixed(edge: Pixels, ground: Pixels) -> Pixels:
    """uint8[N, 4] over the colour, rounded to the nearest level. Source: Porter and Duff's *over*."""
    alpha, behind = edge[:, 3:].astype(np.uint32), ground.astype(np.uint32)
    above, below = alpha * 255, (255 - alpha) * behind[3]  # in parts of 255 × 255
    total = above + below
    colour = edge[:, :3] * above + behind[:3] * below
    mixed = np.concatenate([(colour + total // 2) // total, (total + 127) // 255], axis=1)
    return mixed.astype(np.uint8)
