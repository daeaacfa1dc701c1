"""Colour management: the colour space of a picture, chosen and converted as Chromium does it.

======================  =============================================  ====================================
The picture has         It applies to                                  The result
======================  =============================================  ====================================
PNG ``cICP``            any PNG, before all else                       is converted to sRGB
ICC profile for RGB     RGB, palettes and grey, not CMYK               keeps its values and the profile
ICC profile for grey    grey, with or without alpha                    is converted to sRGB
ICC profile for CMYK    CMYK, on its conversion to RGB                 is converted to sRGB
PNG ``sRGB``            a PNG without a readable ICC profile           is taken as sRGB
PNG ``gAMA``, ``cHRM``  none of the above; ``cHRM`` only with gAMA     is converted to sRGB
nothing, or is a GIF                                                   is taken as sRGB
======================  =============================================  ====================================
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageCms

from pixian.imaging import png_color
from pixian.protocol.form_fields import Color

STRIP_ROWS = 128
STRIP_PIXELS = 1 << 18

SIZE, VERSION, SPACE, CONNECTED = slice(0, 4), 8, slice(16, 20), slice(20, 24)
"""Fields of an ICC profile's header; CONNECTED is its connection space. Source: ICC.1:2022, § 7.2."""

NEWEST_VERSION = 4
"""Version 5 describes colours by different tags; browsers ignore it, too."""

ICC_MARK = b"ICC_PROFILE\0"
"""Start of a JPEG segment with a piece of a profile; the piece's number and the number of pieces follow."""

ROUNDING = 2
"""Levels by which two profiles that both describe sRGB may differ."""

RGB, GREY, INK = b"RGB ", b"GRAY", b"CMYK"
MODES = {RGB: "RGB", GREY: "L", INK: "CMYK"}
GREY_MODES = ("1", "L", "LA", "La", "I", "F")

UNREADABLE = (ImageCms.PyCMSError, OSError, ValueError)


@dataclass(frozen=True)
class ColorSpace:
    """The colour space of an RGB picture.

    profile: the ICC profile to embed in the result; None for sRGB. to_srgb: a conversion to apply to the
    pixels first; None if they keep their values.
    """

    profile: bytes | None = None
    to_srgb: png_color.Conversion | None = None

    def apply(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Convert RGBA uint8[H, W, 4] to the space of ``profile``, in place; alpha stays as it is."""
        if self.to_srgb is None:
            return
        flat = pixels.reshape(-1, 4)
        # In strips: the floats of a whole picture would take four times its memory.
        for start in range(0, len(flat), STRIP_PIXELS):
            strip = flat[start : start + STRIP_PIXELS, :3]
            strip[...] = self.to_srgb(strip)


def color_space(image: Image.Image) -> ColorSpace:
    """Return the colour space of an opened picture, whose mode hasn't been converted yet."""
    if image.format == "GIF":
        return ColorSpace()
    if image.format == "PNG" and (conversion := png_color.coded(image.info)):
        return ColorSpace(to_srgb=conversion)
    profile = image.info.get("icc_profile") or _first_segmented_profile(image)
    if isinstance(profile, bytes) and is_usable(profile):
        return _space_of_profile(profile, image)
    if image.format == "PNG":
        return ColorSpace(to_srgb=png_color.gamma(image.info))
    return ColorSpace()


def is_usable(profile: bytes) -> bool:
    """Return True if the profile is whole and of a kind that pictures can be converted with."""
    mode = MODES.get(profile[SPACE])
    is_whole = int.from_bytes(profile[SIZE]) <= len(profile)
    if mode is None or not is_whole or profile[VERSION] > NEWEST_VERSION:
        return False
    try:
        _to_srgb(profile, mode)
    except UNREADABLE:
        return False
    return True


def ink_as_rgb(image: Image.Image) -> Image.Image:
    """Convert a CMYK picture to RGB by its ICC profile, or by the plain formula if it has none for CMYK."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[SPACE] != INK or not is_usable(profile):
        return image.convert("RGB")
    transform = _to_srgb(profile, "CMYK")
    converted = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP_ROWS):
        part = image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height)))
        # Browsers don't show TIFFs, so a TIFF is converted exactly by its profile, as print software does.
        part = part if image.format == "TIFF" else _black_as_colors(part)
        converted.paste(transform.apply(part), (0, top))
    return converted


def to_profile(color: Color, profile: bytes | None) -> Color:
    """Convert an sRGB colour to the space of an ICC profile, for a result that embeds the profile.

    Without a profile, or with one that can't be used, the colour is returned unchanged.
    """
    if profile is None:
        return color
    try:
        transform = _transform(_srgb(), _opened(profile), "RGB")
        red, green, blue = transform.apply(Image.new("RGB", (1, 1), color)).tobytes()
    except UNREADABLE:
        return color
    # If the profile describes sRGB too, the exact colour is better than a conversion's rounding.
    off = max(abs(red - color[0]), abs(green - color[1]), abs(blue - color[2]))
    return color if off <= ROUNDING else (red, green, blue)


def picture_to_profile(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> npt.NDArray[np.uint8]:
    """Convert sRGB uint8[H, W, 3] to the space of an ICC profile, as ``to_profile`` does a colour."""
    return _converted(pixels, profile, to_srgb=False)


def picture_to_srgb(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> npt.NDArray[np.uint8]:
    """Convert uint8[H, W, 3] from the space of an ICC profile to sRGB; None is sRGB."""
    return _converted(pixels, profile, to_srgb=True)


def _converted(
    pixels: npt.NDArray[np.uint8], profile: bytes | None, *, to_srgb: bool
) -> npt.NDArray[np.uint8]:
    if profile is None:
        return pixels
    try:
        spaces = (_opened(profile), _srgb()) if to_srgb else (_srgb(), _opened(profile))
        transform = _transform(*spaces, "RGB")
        return np.asarray(transform.apply(Image.fromarray(pixels)), np.uint8)
    except UNREADABLE:
        return pixels


def _black_as_colors(image: Image.Image) -> Image.Image:
    """Move the black of CMYK into the three colours, as Chromium does before it applies a profile."""
    colors = ImageChops.invert(image.convert("RGB")).split()
    return Image.merge("CMYK", (*colors, Image.new("L", image.size)))


def _first_segmented_profile(image: Image.Image) -> bytes | None:
    """Return the first profile of a JPEG that has several.

    Pillow joins the pieces of all of them, so that it finds no whole profile.
    """
    pieces: dict[int, bytes] = {}
    count = 0
    for name, content in getattr(image, "applist", ()):
        if name == "APP2" and content.startswith(ICC_MARK) and len(content) > len(ICC_MARK) + 2:
            number, count = content[len(ICC_MARK)], content[len(ICC_MARK) + 1]
            pieces.setdefault(number, content[len(ICC_MARK) + 2 :])
    is_whole = bool(pieces) and set(pieces) == set(range(1, count + 1))
    return b"".join(pieces[number] for number in sorted(pieces)) if is_whole else None


def _space_of_profile(profile: bytes, image: Image.Image) -> ColorSpace:
    is_grey = image.mode in GREY_MODES or image.mode.startswith("I;16") or "is_grey" in image.info
    if profile[SPACE] == RGB and image.mode not in ("CMYK", "LAB"):
        return ColorSpace(profile)
    # Browsers ignore a grey profile whose connection space is Lab.
    if profile[SPACE] == GREY and is_grey and profile[CONNECTED] != b"Lab ":
        return ColorSpace(to_srgb=_grey_to_srgb(profile))
    return ColorSpace()


def _grey_to_srgb(profile: bytes) -> png_color.Conversion:
    levels = np.arange(256, dtype=np.uint8)[None]
    # Without NOOPTIMIZE, LittleCMS interpolates and misses dark levels by up to ten.
    converted = _to_srgb(profile, "L", ImageCms.Flags.NOOPTIMIZE).apply(Image.fromarray(levels))
    # One channel serves for all three: the converted ones differ by a level here and there, and grey must
    # stay grey.
    table = np.asarray(converted)[0, :, 1]
    return lambda strip: table[strip]


def _to_srgb(
    profile: bytes, mode: str, flags: ImageCms.Flags = ImageCms.Flags.NONE
) -> ImageCms.ImageCmsTransform:
    return _transform(_opened(profile), _srgb(), mode, flags)


def _transform(
    source: ImageCms.ImageCmsProfile,
    target: ImageCms.ImageCmsProfile,
    mode: str,
    flags: ImageCms.Flags = ImageCms.Flags.NONE,
) -> ImageCms.ImageCmsTransform:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
