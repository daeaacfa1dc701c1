"""Composition beyond the contract's options: pictures behind a cut-out, and shadows.

The geometry is the contract's (``layout``), and so is the arithmetic where there is nothing but a colour.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixian.imaging.backdrop import cover
from pixian.imaging.color_profile import picture_to_profile, to_profile
from pixian.imaging.compose import blacken, foreground_box, place
from pixian.imaging.convert import Pixels
from pixian.imaging.layout import Layout
from pixian.imaging.shadow import Shadow, cast_shadow
from pixian.protocol.form_fields import Color

STRIP_ROWS = 128
OPAQUE = 255
HALF = 127  # rounds a division by OPAQUE to the nearest


@dataclass(frozen=True)
class Effects:
    """The layers behind a cut-out.

    fill: an sRGB colour. backdrop: a picture, RGB or RGBA, that covers the canvas; in sRGB, or in the space
    of the cut-out's profile if ``is_own``. Without either, the result is transparent.
    """

    fill: Color | None = None
    backdrop: Pixels | None = None
    is_own: bool = False
    shadow: Shadow | None = None

    @property
    def is_opaque(self) -> bool:
        return self.fill is not None or self.backdrop is not None


def restyle(cut_out: Pixels, layout: Layout, effects: Effects, profile: bytes | None = None) -> Pixels:
    """Return the composed picture, RGBA uint8[H, W, 4] with straight alpha.

    cut_out: RGBA uint8[H, W, 4] with straight alpha; it isn't changed. profile: its ICC profile, None for
    sRGB.
    """
    pixels = place(cut_out, layout)
    if np.may_share_memory(pixels, cut_out):
        pixels = pixels.copy()
    shadow = _shadow(pixels, effects.shadow)
    background = _background(layout, effects, profile)
    if background is None:
        if shadow is not None:
            _lay_over_shadow(pixels, shadow)
        blacken(pixels)
    else:
        _lay_over(pixels, background, shadow)
    return pixels


def _shadow(pixels: Pixels, shadow: Shadow | None) -> Pixels | None:
    subject = foreground_box(pixels) if shadow else None
    return cast_shadow(pixels[..., 3], subject, shadow) if shadow and subject else None


def _background(layout: Layout, effects: Effects, profile: bytes | None) -> Pixels | None:
    """Return uint8[3] for a colour, uint8[H, W, 3] for a picture, None for nothing."""
    if effects.backdrop is not None:
        picture = cover(effects.backdrop, layout.size)
        return picture if effects.is_own else picture_to_profile(picture, profile)
    if effects.fill is None:
        return None
    return np.array(to_profile(effects.fill, profile), np.uint8)


def _lay_over(pixels: Pixels, background: Pixels, shadow: Pixels | None) -> None:
    """Lay the background behind the picture, darkened by the shadow, in place."""
    # In strips, as in ``compose``: 16-bit intermediates of the whole would take twice the picture's memory.
    for top in range(0, len(pixels), STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        below = (background if background.ndim == 1 else background[rows]).astype(np.uint16)
        if shadow is not None:
            below = (below * (OPAQUE - shadow[rows, :, None].astype(np.uint16)) + HALF) // OPAQUE
        strip = pixels[rows]
        alpha = strip[..., 3:].astype(np.uint16)
        strip[..., :3] = (strip[..., :3] * alpha + below * (OPAQUE - alpha) + HALF) // OPAQUE
        strip[..., 3] = OPAQUE


def _lay_over_shadow(pixels: Pixels, shadow: Pixels) -> None:
    """Lay a black shadow behind the picture, in place; both keep their transparency."""
    for top in range(0, len(pixels), STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        strip: npt.NDArray[np.uint8] = pixels[rows]
        alpha = strip[..., 3:].astype(np.uint32)
        total = alpha * OPAQUE + shadow[rows, :, None].astype(np.uint32) * (OPAQUE - alpha)
        # In units of 1 / 255²: the subject's share of what is visible, of which the shadow adds no colour.
        share = np.maximum(total, 1)
        strip[..., :3] = (strip[..., :3] * (alpha * OPAQUE) + share // 2) // share
        strip[..., 3:] = (total + HALF) // OPAQUE
