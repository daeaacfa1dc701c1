"""From whatever Pillow decodes to what the rest works on: upright, 8 bits, RGB with alpha, known colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixian.imaging.color_profile import color_space, ink_as_rgb
from pixian.imaging.decode import shrunk_size
from pixian.imaging.orientation import upright
from pixian.protocol.form_fields import Size

Pixels = npt.NDArray[np.uint8]
"""uint8[H, W, channels], straight alpha."""

STRIP_ROWS = 128


@dataclass(frozen=True)
class WorkingCopy:
    """A picture as all that shows or changes it sees it.

    pixels: RGBA uint8[H, W, 4], straight alpha, the caller's own. profile: the ICC profile that describes
    them; None for sRGB. size: width and height before it was shrunk.
    """

    pixels: Pixels
    profile: bytes | None
    size: Size


def working_copy(image: Image.Image, orientation: int, max_pixels: int) -> WorkingCopy:
    """Return a decoded picture upright, with at most ``max_pixels``. orientation: from its header."""
    space = color_space(image)
    turned = upright(eight_bit(image), orientation)
    pixels = rgba(shrunk(turned, max_pixels))
    space.apply(pixels)
    return WorkingCopy(pixels, space.profile, turned.size)


def thumbnail(image: Image.Image, orientation: int, edge: int) -> tuple[Image.Image, bytes | None]:
    """Return a decoded picture upright, its longer side at most ``edge``, and the ICC profile that describes
    it; with alpha if it may have any."""
    space = color_space(image)
    shown = upright(eight_bit(image), orientation)
    small = shown.convert("RGBA" if shown.has_transparency_data else "RGB")
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = rgba(small)
    space.apply(pixels)
    return Image.fromarray(pixels if small.mode == "RGBA" else pixels[..., :3]), space.profile


def eight_bit(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that Pillow converts to RGBA itself, and rightly."""
    if image.mode.startswith("I;16"):
        return _upper_bytes(image)
    if image.mode in ("I", "F"):
        return _full_range(np.asarray(image))
    if image.mode == "CMYK":
        return ink_as_rgb(image)
    if image.mode == "LAB":
        return image.convert("RGB")
    return image


def shrunk(image: Image.Image, max_pixels: int) -> Image.Image:
    """The picture with at most ``max_pixels``. Pillow weighs colours by their alpha while it shrinks."""
    size = shrunk_size(*image.size, max_pixels)
    if size == image.size:
        return image
    return image.convert("RGBA").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def rgba(image: Image.Image) -> Pixels:
    """uint8[H, W, 4], straight alpha, the caller's own. In strips: the whole at once would be copied
    three times on the way."""
    pixels = np.empty((image.height, image.width, 4), np.uint8)
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGBA"))
    return pixels


def _upper_bytes(image: Image.Image) -> Image.Image:
    """16-bit grey, each level's lower half cut off as browsers do; all bits count for what is transparent."""
    levels = np.asarray(image)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    if not isinstance(transparent := image.info.get("transparency"), int):
        return grey
    alpha = np.where(levels == transparent, np.uint8(0), np.uint8(255))
    return Image.merge("LA", (grey, Image.fromarray(alpha)))


def _full_range(values: npt.NDArray[Any]) -> Image.Image:
    """Numbers without an agreed white, as in scientific TIFFs: the darkest is black, the brightest white, and
    so is infinity; what is no number is black."""
    # In strips, since floats of everything would take eight times the picture.
    strips = [slice(top, top + STRIP_ROWS) for top in range(0, len(values), STRIP_ROWS)]
    finite = (values[rows][np.isfinite(values[rows])] for rows in strips)
    bounds = [(float(strip.min()), float(strip.max())) for strip in finite if strip.size] or [(0.0, 0.0)]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    levels = np.zeros(values.shape, np.uint8)
    for rows in strips if high > low else []:
        shown = np.clip(values[rows].astype(np.float64), low, high)
        levels[rows] = np.rint(np.nan_to_num((shown - low) / (high - low)) * 255)
    return Image.fromarray(levels)
