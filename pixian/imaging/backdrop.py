"""Pictures behind a cut-out: scaled to cover the whole canvas, or made of the blurred original."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from pixian.imaging.convert import Pixels
from pixian.protocol.form_fields import Size

Floats = npt.NDArray[np.float32]

WIDEST_BLUR = 0.06
"""Standard deviation of the strongest blur, as a part of the longer side."""

BLUR_PIXELS = 5
"""Standard deviation in the copy that is blurred: without detail, the result can be small."""

SMALLEST_COPY, LARGEST_COPY = 160, 1600
EDGE_PIXELS = 2  # of the copy, around the subject: its edge is mixed with the background's colours
OPAQUE = 255


def cover(picture: Pixels, size: Size) -> Pixels:
    """Return uint8[H, W, 3] of this width and height, covered by the centre of a picture.

    picture: RGB or RGBA; alpha is ignored.
    """
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    part_width, part_height = min(width, size[0] / scale), min(height, size[1] / scale)
    left, top = (width - part_width) / 2, (height - part_height) / 2
    rows = slice(math.floor(top), math.ceil(top + part_height))
    columns = slice(math.floor(left), math.ceil(left + part_width))
    part = np.ascontiguousarray(picture[rows, columns, :3])
    if part.shape[1::-1] == size:
        return part
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)


def blurred(original: Pixels, alpha: Pixels | None, strength: int) -> Pixels:
    """Return a small RGB copy of the original, blurred, without the subject.

    Blurred together with its surroundings, the subject would glow around its own cut-out. alpha: uint8[H, W]
    of the cut-out, of the same size as the original; None keeps the subject. strength: 1 to 100.
    """
    deviation = WIDEST_BLUR * strength / 100
    copy = _copy(original[..., :3], min(LARGEST_COPY, max(SMALLEST_COPY, round(BLUR_PIXELS / deviation))))
    if alpha is not None:
        copy = _without_subject(copy, alpha)
    sigma = deviation * max(copy.shape)
    soft = cv2.GaussianBlur(copy, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(np.asarray(soft) + 0.5, 0, OPAQUE), np.uint8)


def _copy(picture: npt.NDArray[np.uint8], edge: int) -> Floats:
    height, width = picture.shape[:2]
    scale = min(1, edge / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], -1)


def _without_subject(copy: Floats, alpha: Pixels) -> Floats:
    """Replace the subject by what surrounds it."""
    height, width = copy.shape[:2]
    small = cv2.resize(np.ascontiguousarray(alpha), (width, height), interpolation=cv2.INTER_AREA)
    around = 2 * EDGE_PIXELS + 1
    covered = cv2.dilate(small, np.ones((around, around), np.uint8))
    weight = 1 - np.asarray(covered, np.float32)[..., None] / np.float32(OPAQUE)
    return _filled(copy, weight)


def _filled(picture: Floats, weight: Floats) -> Floats:
    """Return the picture with its pixels of little weight replaced by their surroundings.

    picture: float32[H, W, 3]. weight: float32[H, W, 1], 0 to 1.
    """
    height, width = picture.shape[:2]
    if float(weight.min()) > 0.99 or max(height, width) == 1:
        return picture
    # Each level of the pyramid fills the holes of the one below; at the top there is one colour for all.
    size = max(1, width // 2), max(1, height // 2)
    total = _shrunk(weight, size)
    known = np.divide(_shrunk(picture * weight, size), np.maximum(total, 1e-6), dtype=np.float32)
    coarse = _filled(known, np.clip(2 * total, 0, 1, dtype=np.float32))
    smooth = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return weight * picture + (1 - weight) * smooth.reshape(picture.shape)


def _shrunk(array: Floats, size: Size) -> Floats:
    small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], -1)
