"""From the upstream's cut-out to what the drop-in's client gets: the same each time, so that it can be
asked for again."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from pixian.imaging.compose import foreground_box
from pixian.imaging.convert import Pixels, working_copy
from pixian.imaging.decode import decode, open_picture, shrunk_size
from pixian.imaging.encode import encode
from pixian.imaging.layout import Box
from pixian.protocol.credits import MICROCREDITS, is_finer, parse_credits
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_PROCESSED_PIXELS
from pixian.protocol.options import Format as OurFormat
from pixian.protocol.options import Options
from pixian.removebg.background import OPAQUE, WHITE, lay_behind
from pixian.removebg.options import JSON, Channels, Format, RemovebgOptions

JPEG_QUALITY = 90
PNG, JPEG = Options(format=OurFormat.PNG), Options(format=OurFormat.JPEG, jpeg_quality=JPEG_QUALITY)
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The ZIP format's first moment."""

TYPES = {Format.PNG: "image/png", Format.JPG: "image/jpeg", Format.ZIP: "application/zip"}
NOWHERE = Box(0, 0, 0, 0)


@dataclass(frozen=True)
class Made:
    """A 200's headers and body."""

    headers: dict[str, str]
    body: bytes


def finish(wanted: RemovebgOptions, result: BinaryIO, told: Mapping[str, str], uploaded: Size) -> Made:
    """The answer, made of the upstream's PNG.

    told: the upstream's headers. uploaded: width and height of the picture as it came. Raises what
    ``pixian.imaging.decode`` raises where the result can't be read.
    """
    image, header = open_picture(result)
    decode(image)
    copy = working_copy(image, header.orientation, header.pixels)
    pixels, profile = copy.pixels, copy.profile
    box = foreground_box(pixels) or NOWHERE
    kind = _kind(wanted, pixels)
    if kind is Format.PNG and wanted.channels is Channels.RGBA and wanted.paint is None:
        result.seek(0)
        body = result.read()  # as it came
    else:
        body = _encoded(kind, wanted, pixels, profile)
    headers = _headers(wanted, (header.width, header.height), box, uploaded) | _credits(told)
    if wanted.as_json:
        return Made(headers | {"Content-Type": JSON}, _in_json(body, box))
    return Made(headers | {"Content-Type": TYPES[kind]}, body)


def _kind(wanted: RemovebgOptions, pixels: Pixels) -> Format:
    """``auto`` is a PNG exactly where something is transparent in the end; the alpha of such a picture is one
    too, since JPEG would smear it (G)."""
    if wanted.format is not Format.AUTO:
        return wanted.format
    painted = wanted.channels is Channels.RGBA and wanted.paint is not None and wanted.paint[3] == OPAQUE
    return Format.JPG if painted or bool((pixels[..., 3] == OPAQUE).all()) else Format.PNG


def _encoded(kind: Format, wanted: RemovebgOptions, pixels: Pixels, profile: bytes | None) -> bytes:
    """In the format to be sent; ``pixels`` is used up."""
    if wanted.channels is Channels.ALPHA and kind is not Format.ZIP:
        return _grey(pixels, "PNG" if kind is Format.PNG else "JPEG")
    if wanted.paint is not None:
        lay_behind(pixels, wanted.paint, profile)
    if kind is Format.ZIP:
        return _zipped(pixels, profile)
    if kind is Format.PNG:
        return encode(pixels, PNG, profile)
    lay_behind(pixels, WHITE, profile)
    return encode(pixels, JPEG, profile)


def _zipped(pixels: Pixels, profile: bytes | None) -> bytes:
    """``color.jpg``, black where nothing is, and ``alpha.png``, grey: together they are the picture."""
    alpha = _grey(pixels, "PNG")
    pixels[pixels[..., 3] == 0] = 0
    color = encode(pixels, JPEG, profile)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as parts:
        parts.writestr(zipfile.ZipInfo("color.jpg", LONG_AGO), color)
        parts.writestr(zipfile.ZipInfo("alpha.png", LONG_AGO), alpha)
    return archive.getvalue()


def _grey(pixels: Pixels, kind: str) -> bytes:
    """The alpha as a picture of its own."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 3])).save(file, kind, quality=JPEG_QUALITY)
    return file.getvalue()


def _in_json(body: bytes, box: Box) -> bytes:
    data = {
        "result_b64": base64.b64encode(body).decode(),
        "foreground_top": box.top,
        "foreground_left": box.left,
        "foreground_width": box.width,
        "foreground_height": box.height,
    }
    return json.dumps({"data": data}).encode()


def _headers(wanted: RemovebgOptions, size: Size, box: Box, uploaded: Size) -> dict[str, str]:
    told = {
        "X-Type": "other",
        "X-Width": str(size[0]),
        "X-Height": str(size[1]),
        "X-Foreground-Top": str(box.top),
        "X-Foreground-Left": str(box.left),
        "X-Foreground-Width": str(box.width),
        "X-Foreground-Height": str(box.height),
    }
    if uploaded[0] * uploaded[1] > wanted.max_pixels:
        width, height = shrunk_size(*uploaded, MAX_PROCESSED_PIXELS)
        told |= {"X-Max-Width": str(width), "X-Max-Height": str(height)}
    return told


def _credits(told: Mapping[str, str]) -> dict[str, str]:
    """In as few digits as possible, since a client reads them as an integer."""
    names = ("X-Credits-Charged", "X-Credits-Calculated")
    return {name: _minimal(told[name]) for name in names if name in told}


def _minimal(text: str) -> str:
    try:
        if is_finer(text):  # no digit is left out that was charged
            return text
        whole, rest = divmod(parse_credits(text), MICROCREDITS)
    except ValueError:
        return text
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")
