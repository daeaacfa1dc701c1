"""Resizing of cut-outs without bleeding of hidden colours and without ringing."""

from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.protocol.form_fields import Size

Floats = npt.NDArray[np.float32]

STRIP_ROWS = 128
"""Rows processed at once, of the larger of the two pictures: floats of the whole would take 400 MB."""

BICUBIC_REACH = 2
"""Support of the filter in pixels of the coarser grid. Lanczos, with a support of 3, would draw a faint line
at some distance around the foreground."""

INVISIBLE = 0.5
"""Alpha below this is rounded to 0."""


def scaled(pixels: Pixels, size: Size) -> Pixels:
    """Resize RGBA uint8[H, W, 4] with straight alpha to a width and height, by bicubic interpolation."""
    # Colours are premultiplied, so those of transparent pixels don't count. In floats: where the filter
    # overshoots at an edge, bytes would clip alpha but not the colour, and leave a bright line.
    width, height = size
    result = np.empty((height, width, 4), np.uint8)
    rows = max(1, int(STRIP_ROWS * min(1, height / len(pixels))))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        result[top:bottom] = _strip(pixels, size, top, bottom)
    return result


def _strip(pixels: Pixels, size: Size, top: int, bottom: int) -> Pixels:
    """Return the rows from ``top`` to ``bottom`` of the result."""
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
