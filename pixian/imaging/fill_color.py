"""The background's colour in the colour space of the picture it is laid behind."""

import io

from PIL import Image, ImageCms

from pixian.protocol.form_fields import Color

ROUNDING = 2
"""Levels by which two descriptions of sRGB may differ; a colour is then left as it was asked for."""


def in_space_of(color: Color, profile: bytes | None) -> Color:
    """An sRGB colour as the ICC profile describes it, so that it looks as asked for in a result that
    keeps the profile; as it is without one, or with one that can't be used."""
    if profile is None:
        return color
    try:
        converted = _converted(color, profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return color
    off = max(abs(new - old) for new, old in zip(converted, color, strict=True))
    return color if off <= ROUNDING else converted


def _converted(color: Color, profile: bytes) -> Color:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    red, green, blue = transform.apply(Image.new("RGB", (1, 1), color)).tobytes()
    return red, green, blue
