"""Enlarges and shrinks a cut-out without letting hidden colours in or flat ones ring."""

from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.protocol.form_fields import Size

Floats = npt.NDArray[np.float32]

STRIP_ROWS = 128
"""Rows worked on at once, of the larger of both pictures: floats of everything would take 400 MB."""

BICUBIC_REACH = 2
"""Pixels that it looks at to each side, of the coarser grid. Lanczos, which looks at three, would draw a
faint line around the foreground, at a distance."""

INVISIBLE = 0.5
"""Alpha that is rounded to 0."""


def scaled(pixels: Pixels, size: Size) -> Pixels:
    """RGBA uint8[H, W, 4], straight alpha, at another size, width and height in pixels.

    Bicubic, over colours premultiplied by alpha. In floats: where a bicubic overshoots an edge, bytes would
    cut off its alpha but not its colour, and leave a bright line there.
    """
    width, height = size
    result = np.empty((height, width, 4), np.uint8)
    rows = max(1, int(STRIP_ROWS * min(1, height / len(pixels))))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        result[top:bottom] = _strip(pixels, size, top, bottom)
    return result


def _strip(pixels: Pixels, size: Size, top: int, bottom: int) -> Pixels:
    """The rows from ``top`` to ``bottom`` of the result."""
    ratio = len(pixels) / size[1]
    reach = ceil(BICUBIC_REACH * max(1, ratio)) + 1
    first = max(0, int(top * ratio) - reach)
    part = pixels[first : ceil(bottom * ratio) + reach]
    box = (0, top * ratio - first, part.shape[1], min(bottom * ratio - first, len(part)))

    def resized(plane: npt.NDArray[Any]) -> Floats:
        image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
        return np.asarray(image.resize((size[0], bottom - top), Image.Resampling.BICUBIC, box), np.float32)

    strip = np.zeros((bottom - top, size[0], 4), np.uint8)
    alpha = resized(part[..., 3])
    weight = part[..., 3].astype(np.float32)
    for channel in range(3):
        color = resized(part[..., channel] * weight) / np.maximum(alpha, INVISIBLE)
        strip[..., channel] = np.clip(color + 0.5, 0, 255)
    strip[..., 3] = np.clip(alpha + 0.5, 0, 255)
    return strip
