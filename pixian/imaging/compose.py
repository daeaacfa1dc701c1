"""From a cut-out and options to the finished picture: cropped, framed, scaled, filled. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np

from pixian.imaging.convert import Pixels
from pixian.imaging.fill_color import in_space_of
from pixian.imaging.layout import Box, Layout, lay_out
from pixian.imaging.resize import scaled
from pixian.protocol.form_fields import Color
from pixian.protocol.options import Options

STRIP_ROWS = 128


@dataclass(frozen=True)
class Composed:
    """RGBA uint8[H, W, 4], straight alpha, nothing hidden under alpha 0; opaque where a ground was laid.

    foreground: the box of what was found, as it lies in the result; None where nothing was.
    """

    pixels: Pixels
    foreground: Box | None


def compose(cut_out: Pixels, options: Options, profile: bytes | None = None) -> Composed:
    """The picture that the options ask for (§ 2), not yet encoded.

    cut_out: RGBA uint8[H, W, 4], straight alpha. It is used up: where its size stays, it becomes the
    result. profile: the ICC profile it is described by, None for sRGB; the colour is converted to it.
    Raises Refused 400/1023 where the result would be too large, before room is made for it.
    """
    height, width = cut_out.shape[:2]
    foreground = foreground_box(cut_out)
    layout = lay_out((width, height), foreground, options)
    pixels = _laid(cut_out, layout)
    if options.ground is None:
        _hide(pixels)
    else:
        _fill(pixels, in_space_of(options.ground, profile))
    return Composed(pixels, foreground and layout.place(foreground))


def foreground_box(cut_out: Pixels) -> Box | None:
    """The smallest box around all that isn't fully transparent; None where everything is.

    No threshold: on real photos one of 16 moves the box by less than 1.5 % of a side.
    """
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(cut_out[..., 3]))
    return Box(left, top, width, height) if width else None


def _laid(cut_out: Pixels, layout: Layout) -> Pixels:
    """The source box, scaled, on a transparent canvas; the cut-out itself where it fills it."""
    source, content = layout.source, layout.content
    part = cut_out[source.top : source.bottom, source.left : source.right]
    if source.size != content.size:
        part = scaled(part, content.size)
    if content.size == layout.size:
        return np.ascontiguousarray(part)
    canvas = np.zeros((layout.size[1], layout.size[0], 4), np.uint8)
    canvas[content.top : content.bottom, content.left : content.right] = part
    return canvas


def _hide(pixels: Pixels) -> None:
    """Black under alpha 0, in place: half the bytes of a photo's cut-out, and nobody can uncover it."""
    pixels.view(np.uint32)[..., 0] *= pixels[..., 3] > 0


def _fill(pixels: Pixels, color: Color) -> None:
    """The colour behind everything, in place, rounded to the nearest level. In strips, since sixteen bits
    of everything at once would take twice the picture's memory."""
    ground = np.array(color, np.uint16)
    for top in range(0, len(pixels), STRIP_ROWS):
        strip = pixels[top : top + STRIP_ROWS]
        alpha = strip[..., 3:].astype(np.uint16)
        strip[..., :3] = (strip[..., :3] * alpha + ground * (255 - alpha) + 127) // 255
        strip[..., 3] = 255
