"""From whatever Pillow decodes to what the rest works on: upright, 8 bits, RGB with alpha."""

import io

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from pixian.picture import shrunk_size

Pixels = npt.NDArray[np.uint8]
"""uint8[H, W, channels], straight alpha."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation. Source: EXIF 2.3, tag 0x0112."""

RGB_PROFILE = b"RGB "
PROFILE_SPACE = slice(16, 20)
STRIP_ROWS = 128


def upright(image: Image.Image) -> Image.Image:
    """A decoded picture as its EXIF orientation asks for. Pillow itself has already turned a TIFF, and
    no longer reports an orientation for it."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def eight_bit(image: Image.Image) -> Image.Image:
    """The picture in a mode that Pillow converts to RGBA itself, and rightly. A profile that describes
    grey or ink rather than RGB is applied, to sRGB."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(_full_range(np.asarray(image, np.float64)))
    if image.info.get("icc_profile") and rgb_profile(image) is None:
        return _in_srgb(image)
    return image


def rgb_profile(image: Image.Image) -> bytes | None:
    """The picture's ICC profile, where it has one that describes RGB."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[PROFILE_SPACE] == RGB_PROFILE else None


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


def _full_range(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Numbers without an agreed white, as in scientific TIFFs: the darkest is black, the brightest white."""
    values = np.nan_to_num(values)
    low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    return ((values - low) * scale).astype(np.uint8)


def _in_srgb(image: Image.Image) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A broken profile, or one for another mode than this: the plain conversion is what most
        # programs show.
        return image
    return converted or image
