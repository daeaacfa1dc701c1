"""The response of a drop-in call, made from the upstream's cut-out.

It is reproducible: the same cut-out and options give the same bytes, so a result can be downloaded again.
"""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from pixian.imaging.compose import foreground_box
from pixian.imaging.convert import Pixels, working_copy
from pixian.imaging.decode import Room, decode, open_result, shrunk_size
from pixian.imaging.encode import encode
from pixian.imaging.layout import Box
from pixian.protocol.credits import MICROCREDITS, is_finer, parse_credits
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_PROCESSED_PIXELS
from pixian.protocol.options import Format as OurFormat
from pixian.protocol.options import Options
from pixian.removebg.background import OPAQUE, WHITE, fill_background
from pixian.removebg.options import JSON, Channels, Format, RemovebgOptions

JPEG_QUALITY = 90
PNG, JPEG = Options(format=OurFormat.PNG), Options(format=OurFormat.JPEG, jpeg_quality=JPEG_QUALITY)
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP file can hold; a constant, so that the archive is reproducible."""

TYPES = {Format.PNG: "image/png", Format.JPG: "image/jpeg", Format.ZIP: "application/zip"}
EMPTY = Box(0, 0, 0, 0)

BYTES_PER_PIXEL = 10
"""Of memory, while a result is decoded, converted and encoded again."""


@dataclass(frozen=True)
class DropInResponse:
    """The headers and body of a successful response."""

    headers: dict[str, str]
    body: bytes


def build_response(
    options: RemovebgOptions,
    result: BinaryIO,
    upstream_headers: Mapping[str, str],
    uploaded: Size,
    room: Room | None = None,
) -> DropInResponse:
    """Return the response, made from the upstream's PNG.

    uploaded: width and height of the uploaded picture. room: reserves memory while the pixels are decoded and
    encoded. Raises as ``pixian.imaging.decode`` does if the result can't be read, and as ``room`` does.
    """
    image, header = open_result(result)
    with room(BYTES_PER_PIXEL * header.pixels) if room else nullcontext():
        decode(image)
        copy = working_copy(image, header.orientation, header.pixels)
        pixels, profile = copy.pixels, copy.profile
        box = foreground_box(pixels) or EMPTY
        output_format = _output_format(options, pixels)
        wanted = output_format, options.channels, options.background_color
        if wanted == (Format.PNG, Channels.RGBA, None):
            # Nothing to change: the upstream's own bytes are passed on.
            result.seek(0)
            body = result.read()
        else:
            body = _encode(output_format, options, pixels, profile)
        headers = _headers(options, (header.width, header.height), box, uploaded) | _credits(upstream_headers)
        if options.as_json:
            return DropInResponse(headers | {"Content-Type": JSON}, _json_body(body, box))
        return DropInResponse(headers | {"Content-Type": TYPES[output_format]}, body)


def _output_format(options: RemovebgOptions, pixels: Pixels) -> Format:
    """Return the format of the result; ``auto`` is PNG if anything is transparent in the end, else JPG.

    The alpha channel alone is a PNG under the same condition, since JPEG would blur its edges (G).
    """
    if options.format is not Format.AUTO:
        return options.format
    color = options.background_color
    filled = options.channels is Channels.RGBA and color is not None and color[3] == OPAQUE
    return Format.JPG if filled or bool((pixels[..., 3] == OPAQUE).all()) else Format.PNG


def _encode(output_format: Format, options: RemovebgOptions, pixels: Pixels, profile: bytes | None) -> bytes:
    """Return the encoded result; ``pixels`` is overwritten."""
    if options.channels is Channels.ALPHA and output_format is not Format.ZIP:
        return _encode_alpha(pixels, "PNG" if output_format is Format.PNG else "JPEG")
    if options.background_color is not None:
        fill_background(pixels, options.background_color, profile)
    if output_format is Format.ZIP:
        return _encode_zip(pixels, profile)
    if output_format is Format.PNG:
        return encode(pixels, PNG, profile)
    fill_background(pixels, WHITE, profile)
    return encode(pixels, JPEG, profile)


def _encode_zip(pixels: Pixels, profile: bytes | None) -> bytes:
    """Return an archive of ``color.jpg``, black where alpha is 0, and ``alpha.png``, 8-bit grey."""
    alpha = _encode_alpha(pixels, "PNG")
    pixels[pixels[..., 3] == 0] = 0
    color = encode(pixels, JPEG, profile)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as parts:
        parts.writestr(zipfile.ZipInfo("color.jpg", ZIP_EPOCH), color)
        parts.writestr(zipfile.ZipInfo("alpha.png", ZIP_EPOCH), alpha)
    return archive.getvalue()


def _encode_alpha(pixels: Pixels, image_format: str) -> bytes:
    """Return the alpha channel as a grey picture."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 3])).save(file, image_format, quality=JPEG_QUALITY)
    return file.getvalue()


def _json_body(body: bytes, box: Box) -> bytes:
    data = {
        "result_b64": base64.b64encode(body).decode(),
        "foreground_top": box.top,
        "foreground_left": box.left,
        "foreground_width": box.width,
        "foreground_height": box.height,
    }
    return json.dumps({"data": data}).encode()


def _headers(options: RemovebgOptions, size: Size, box: Box, uploaded: Size) -> dict[str, str]:
    headers = {
        "X-Type": "other",
        "X-Width": str(size[0]),
        "X-Height": str(size[1]),
        "X-Foreground-Top": str(box.top),
        "X-Foreground-Left": str(box.left),
        "X-Foreground-Width": str(box.width),
        "X-Foreground-Height": str(box.height),
    }
    if uploaded[0] * uploaded[1] > options.max_pixels:
        width, height = shrunk_size(*uploaded, MAX_PROCESSED_PIXELS)
        headers |= {"X-Max-Width": str(width), "X-Max-Height": str(height)}
    return headers


def _credits(upstream_headers: Mapping[str, str]) -> dict[str, str]:
    """Return the upstream's credit headers without trailing zeros: one client calls ``int()`` on them."""
    names = ("X-Credits-Charged", "X-Credits-Calculated")
    return {name: _trim_zeros(upstream_headers[name]) for name in names if name in upstream_headers}


def _trim_zeros(text: str) -> str:
    try:
        # An amount finer than a micro-credit would be rounded, so it stays as it is.
        if is_finer(text):
            return text
        whole, rest = divmod(parse_credits(text), MICROCREDITS)
    except ValueError:
        return text
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")
