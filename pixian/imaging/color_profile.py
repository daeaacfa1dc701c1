"""Which colours a picture's numbers mean, as Chromium understands it.

=====================  =============================================  ==================================
Says                   Heeded for                                     The result
=====================  =============================================  ==================================
PNG ``cICP``           any PNG, before all else                       converted to sRGB
ICC profile for RGB    RGB, palettes and grey; not for ink            keeps its numbers and the profile
ICC profile for grey   grey, with alpha or without                    converted to sRGB
ICC profile for ink    CMYK (while it becomes RGB)                    converted to sRGB
PNG ``sRGB``           no ICC profile that can be read                is sRGB as it is
PNG ``gAMA, cHRM``     none of the above; ``cHRM`` only with gAMA     converted to sRGB
nothing, or a GIF                                                     is sRGB as it is
=====================  =============================================  ==================================
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageCms

from pixian.imaging import png_color

STRIP_ROWS = 128
STRIP_PIXELS = 1 << 18

SIZE, VERSION, SPACE, CONNECTED = slice(0, 4), 8, slice(16, 20), slice(20, 24)
"""Where an ICC profile's header says what it is. Source: ICC.1:2022, § 7.2."""

NEWEST_VERSION = 4
"""The last one that describes colours by the same tags; browsers ignore others, too."""

ICC_MARK = b"ICC_PROFILE\0"
"""What a JPEG's segments with a profile begin with; the piece's number and how many there are follow."""

RGB, GREY, INK = b"RGB ", b"GRAY", b"CMYK"
MODES = {RGB: "RGB", GREY: "L", INK: "CMYK"}
GREY_MODES = ("1", "L", "LA", "La", "I", "F")

UNREADABLE = (ImageCms.PyCMSError, OSError, ValueError)


@dataclass(frozen=True)
class ColorSpace:
    """What an RGB picture's numbers mean.

    profile: the ICC profile that its result keeps; None for sRGB. to_srgb: how its numbers become sRGB
    first; None if they stay as they are.
    """

    profile: bytes | None = None
    to_srgb: png_color.Conversion | None = None

    def apply(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Convert RGBA uint8[H, W, 4] to what ``profile`` says, in place; alpha stays as it is. In strips,
        since floats of everything would take four times the picture."""
        if self.to_srgb is None:
            return
        flat = pixels.reshape(-1, 4)
        for start in range(0, len(flat), STRIP_PIXELS):
            strip = flat[start : start + STRIP_PIXELS, :3]
            strip[...] = self.to_srgb(strip)


def color_space(image: Image.Image) -> ColorSpace:
    """Return the space of a picture as it was opened, before its mode was changed."""
    if image.format == "GIF":
        return ColorSpace()
    if image.format == "PNG" and (conversion := png_color.coded(image.info)):
        return ColorSpace(to_srgb=conversion)
    profile = image.info.get("icc_profile") or _first_in_segments(image)
    if isinstance(profile, bytes) and is_usable(profile):
        return _of_profile(profile, image)
    if image.format == "PNG":
        return ColorSpace(to_srgb=png_color.gamma(image.info))
    return ColorSpace()


def is_usable(profile: bytes) -> bool:
    """Tell if the profile can be applied to a picture at all."""
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
    """Return a CMYK picture in RGB: by its profile, or plainly if it has none for ink."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[SPACE] != INK or not is_usable(profile):
        return image.convert("RGB")
    transform = _to_srgb(profile, "CMYK")
    converted = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP_ROWS):
        part = image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height)))
        # A TIFF, which no browser shows, is read as print programs do.
        part = part if image.format == "TIFF" else _without_black(part)
        converted.paste(transform.apply(part), (0, top))
    return converted


def _without_black(image: Image.Image) -> Image.Image:
    """Return the same CMYK with its black in the three colours, the way that Chromium has it when it applies
    a profile."""
    colors = ImageChops.invert(image.convert("RGB")).split()
    return Image.merge("CMYK", (*colors, Image.new("L", image.size)))


def _first_in_segments(image: Image.Image) -> bytes | None:
    """Return the first of several profiles in a JPEG, where Pillow finds none that is whole."""
    pieces: dict[int, bytes] = {}
    pieces_told = 0
    for name, content in getattr(image, "applist", ()):
        if name == "APP2" and content.startswith(ICC_MARK) and len(content) > len(ICC_MARK) + 2:
            number, pieces_told = content[len(ICC_MARK)], content[len(ICC_MARK) + 1]
            pieces.setdefault(number, content[len(ICC_MARK) + 2 :])
    is_whole = bool(pieces) and set(pieces) == set(range(1, pieces_told + 1))
    return b"".join(pieces[number] for number in sorted(pieces)) if is_whole else None


def _of_profile(profile: bytes, image: Image.Image) -> ColorSpace:
    is_grey = image.mode in GREY_MODES or image.mode.startswith("I;16") or "is_grey" in image.info
    if profile[SPACE] == RGB and image.mode not in ("CMYK", "LAB"):
        return ColorSpace(profile)
    # Browsers don't know how a grey level lies in Lab, and show it as it is.
    if profile[SPACE] == GREY and is_grey and profile[CONNECTED] != b"Lab ":
        return ColorSpace(to_srgb=_grey_levels(profile))
    return ColorSpace()


def _grey_levels(profile: bytes) -> png_color.Conversion:
    """Each grey level in sRGB. It stays grey, which a computed one misses by a level here and there. Computed
    without short cuts, which miss dark levels by ten."""
    levels = np.arange(256, dtype=np.uint8)[None]
    shown = _to_srgb(profile, "L", ImageCms.Flags.NOOPTIMIZE).apply(Image.fromarray(levels))
    table = np.asarray(shown)[0, :, 1]
    return lambda strip: table[strip]


def _to_srgb(
    profile: bytes, mode: str, flags: ImageCms.Flags = ImageCms.Flags.NONE
) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags,
    )
