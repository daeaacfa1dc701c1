"""Conversion of decoded pictures to the working format: upright, 8-bit RGBA, in a known colour space."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixian.imaging.color_profile import color_space, ink_as_rgb
from pixian.imaging.decode import shrunk_size
from pixian.imaging.orientation import AS_STORED, upright
from pixian.protocol.form_fields import Size

Pixels = npt.NDArray[np.uint8]
"""uint8[H, W, channels], straight alpha."""

STRIP_ROWS = 128
COPY_BYTES, RESIZING_BYTES = 4, 2  # per pixel


@dataclass(frozen=True)
class WorkingCopy:
    """A picture in the working format.

    pixels: RGBA uint8[H, W, 4], straight alpha, writable. profile: their ICC profile; None for sRGB.
    size: width and height, upright, before the picture was shrunk.
    """

    pixels: Pixels
    profile: bytes | None
    size: Size


def working_copy(image: Image.Image, orientation: int, max_pixels: int) -> WorkingCopy:
    """Convert a decoded picture to the working format, upright and shrunk to at most ``max_pixels``."""
    space = color_space(image)
    turned = upright(eight_bit(image), orientation)
    pixels = rgba(shrunk(turned, max_pixels))
    space.apply(pixels)
    return WorkingCopy(pixels, space.profile, turned.size)


def thumbnail(image: Image.Image, orientation: int, edge: int) -> tuple[Image.Image, bytes | None]:
    """Return an upright thumbnail of a decoded picture, at most ``edge`` pixels a side, and its ICC profile.

    It has an alpha channel only if the picture may be transparent.
    """
    space = color_space(image)
    shown = upright(eight_bit(image), orientation)
    small = shown.convert("RGBA" if shown.has_transparency_data else "RGB")
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = rgba(small)
    space.apply(pixels)
    return Image.fromarray(pixels if small.mode == "RGBA" else pixels[..., :3]), space.profile


def thumbnail_bytes(image: Image.Image, orientation: int) -> int:
    """Estimate the memory that ``thumbnail`` takes, with the decoded picture; call it after ``draft``."""
    is_turned, may_be_transparent = orientation != AS_STORED, image.has_transparency_data
    per_pixel = COPY_BYTES * (2 + is_turned + may_be_transparent) + RESIZING_BYTES
    return per_pixel * image.width * image.height


def eight_bit(image: Image.Image) -> Image.Image:
    """Convert a picture to a mode that Pillow itself converts to RGBA correctly."""
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
    """Shrink a picture to at most ``max_pixels``."""
    size = shrunk_size(*image.size, max_pixels)
    if size == image.size:
        return image
    # For RGBA, Pillow resizes premultiplied colours, so transparent pixels don't bleed into their neighbours.
    return image.convert("RGBA").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def rgba(image: Image.Image) -> Pixels:
    """Return the picture's pixels as a new array uint8[H, W, 4], straight alpha."""
    pixels = np.empty((image.height, image.width, 4), np.uint8)
    # In strips: the conversion makes three copies of what it converts.
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGBA"))
    return pixels


def _upper_bytes(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to its upper bytes, as browsers do; transparency is decided by all 16 bits."""
    levels = np.asarray(image)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    if not isinstance(transparent := image.info.get("transparency"), int):
        return grey
    alpha = np.where(levels == transparent, np.uint8(0), np.uint8(255))
    return Image.merge("LA", (grey, Image.fromarray(alpha)))


def _full_range(values: npt.NDArray[Any]) -> Image.Image:
    """Scale values of unknown range, as in scientific TIFFs: the smallest is black, the largest white.

    Positive infinity is white; NaN is black.
    """
    # In strips: float64 of the whole would take eight times the picture's memory.
    strips = [slice(top, top + STRIP_ROWS) for top in range(0, len(values), STRIP_ROWS)]
    finite = (values[rows][np.isfinite(values[rows])] for rows in strips)
    bounds = [(float(strip.min()), float(strip.max())) for strip in finite if strip.size] or [(0.0, 0.0)]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    levels = np.zeros(values.shape, np.uint8)
    for rows in strips if high > low else []:
        shown = np.clip(values[rows].astype(np.float64), low, high)
        levels[rows] = np.rint(np.nan_to_num((shown - low) / (high - low)) * 255)
    return Image.fromarray(levels)
