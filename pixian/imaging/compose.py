"""Composition of a result from a cut-out: crop, margin, scaling and background, as the options ask (§ 2)."""

from dataclasses import dataclass

import cv2
import numpy as np

from pixian.imaging.color_profile import to_profile
from pixian.imaging.convert import Pixels
from pixian.imaging.layout import Box, Layout, lay_out
from pixian.imaging.resize import scaled
from pixian.protocol.form_fields import Color
from pixian.protocol.options import Options

STRIP_ROWS = 128


@dataclass(frozen=True)
class Composed:
    """A composed picture.

    pixels: RGBA uint8[H, W, 4], straight alpha, black where alpha is 0; opaque if a background was filled in.
    foreground: the foreground's box within the result; None if there is no foreground.
    """

    pixels: Pixels
    foreground: Box | None


def compose(cut_out: Pixels, options: Options, profile: bytes | None = None) -> Composed:
    """Return the result that the options ask for, not yet encoded.

    cut_out: RGBA uint8[H, W, 4], straight alpha; it is overwritten, since the result shares its memory if
    the size stays. profile: the cut-out's ICC profile, None for sRGB; the fill colour is converted to it.
    Raises Refused 400/1023 if the result would be too large, before any memory is allocated for it.
    """
    height, width = cut_out.shape[:2]
    foreground = foreground_box(cut_out)
    layout = lay_out((width, height), foreground, options)
    pixels = place(cut_out, layout)
    if options.fill_color is None:
        blacken(pixels)
    else:
        _fill(pixels, to_profile(options.fill_color, profile))
    return Composed(pixels, foreground and layout.place(foreground))


def foreground_box(cut_out: Pixels) -> Box | None:
    """Return the smallest box around all pixels that aren't fully transparent; None if there are none."""
    # No threshold: on real photos, a threshold of 16 moves the box by less than 1.5 % of a side.
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(cut_out[..., 3]))
    return Box(left, top, width, height) if width else None


def place(cut_out: Pixels, layout: Layout) -> Pixels:
    """Return the scaled source box on a transparent canvas, without a copy if it fills the canvas."""
    source, content = layout.source, layout.content
    part = cut_out[source.top : source.bottom, source.left : source.right]
    if source.size != content.size:
        part = scaled(part, content.size)
    if content.size == layout.size:
        return np.ascontiguousarray(part)
    canvas = np.zeros((layout.size[1], layout.size[0], 4), np.uint8)
    canvas[content.top : content.bottom, content.left : content.right] = part
    return canvas


def blacken(pixels: Pixels) -> None:
    """Make fully transparent pixels black, in place."""
    # It halves the PNG of a photo's cut-out, and the background can't be uncovered.
    pixels.view(np.uint32)[..., 0] *= pixels[..., 3] > 0


def _fill(pixels: Pixels, color: Color) -> None:
    """Lay the colour behind the picture, in place, rounded to the nearest level."""
    background = np.array(color, np.uint16)
    # In strips: 16-bit intermediates of the whole would take twice the picture's memory.
    for top in range(0, len(pixels), STRIP_ROWS):
        strip = pixels[top : top + STRIP_ROWS]
        alpha = strip[..., 3:].astype(np.uint16)
        strip[..., :3] = (strip[..., :3] * alpha + background * (255 - alpha) + 127) // 255
        strip[..., 3] = 255
