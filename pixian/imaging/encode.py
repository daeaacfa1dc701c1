"""Encoding of results as PNG or JPEG: the pixels and the ICC profile, no other metadata."""

import io
import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.protocol.options import Format, Options

# The Up filter for every row and zlib level 1: 12 MP take 0.3 s. Choosing a filter for each row, as libpng
# and Pillow do by default, takes 0.55 to 0.6 s and saves no bytes.
ORDINARY = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)

FULL_CHROMA_FROM = 90
"""The JPEG quality from which chroma isn't subsampled (G)."""

OPAQUE = 255
WEBP_EFFORT = 2
"""Of 0 to 6. 2 MP take 0.15 s; 4, the default, takes twice as long for 3 % fewer bytes."""

AFTER_HEADER = 33
"""Position after the signature, 8 bytes, and IHDR, 25 bytes: the place for iCCP. Source: PNG specification,
§§ 5.6 and 11.2."""


def encode(pixels: Pixels, options: Options, profile: bytes | None = None) -> bytes:
    """Encode a composed picture, RGBA uint8[H, W, 4] with straight alpha, in the format of the options.

    ``pixels`` is overwritten. A picture with a fill colour is written without an alpha channel.
    """
    if options.output_format is Format.JPEG:
        return jpeg(pixels, options.jpeg_quality, profile)
    if options.fill_color is not None:
        return opaque_png(pixels, profile)
    # OpenCV wants BGRA; swapping in place saves a copy.
    cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA, dst=pixels)
    return png(pixels, profile)


def png(pixels: Pixels, profile: bytes | None = None, settings: Sequence[int] = ORDINARY) -> bytes:
    """Encode BGR or BGRA uint8[H, W, 3 or 4] with straight alpha as PNG, keeping colours under alpha 0.

    settings: OpenCV's compression parameters. Raises ValueError for a side of more than a million pixels.
    """
    ok, encoded = cv2.imencode(".png", pixels, list(settings))
    if not ok:
        raise ValueError(f"An array of shape {pixels.shape} can't be encoded as PNG")
    content = np.asarray(encoded).tobytes()
    if profile is None:
        return content
    chunk = _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile))
    return content[:AFTER_HEADER] + chunk + content[AFTER_HEADER:]


def jpeg(pixels: Pixels, quality: int, profile: bytes | None = None) -> bytes:
    """Encode RGBA uint8[H, W, 4] as JPEG; alpha is dropped.

    Raises ValueError for a side above 65,500 pixels.
    """
    subsampling = "4:4:4" if quality >= FULL_CHROMA_FROM else "4:2:0"
    image = Image.fromarray(pixels).convert("RGB")
    file = io.BytesIO()
    try:
        image.save(file, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile)
    except OSError as error:  # Pillow's for what it can't encode; nobody shall take it for a disk's
        raise ValueError(f"{image.width} × {image.height} pixels can't be encoded as JPEG") from error
    return file.getvalue()


def webp(pixels: Pixels, quality: int, profile: bytes | None = None) -> bytes:
    """Encode RGBA uint8[H, W, 4] with straight alpha as WebP; alpha is kept without loss, if there is any.

    Raises ValueError for a side above 16,383 pixels.
    """
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if int(pixels[..., 3].min()) == OPAQUE:
        image = image.convert("RGB")
    image.save(file, "WEBP", quality=quality, method=WEBP_EFFORT, icc_profile=profile or b"")
    return file.getvalue()


def opaque_png(pixels: Pixels, profile: bytes | None = None) -> bytes:
    """Encode RGBA uint8[H, W, 4] as PNG without its alpha channel."""
    return png(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGR), np.uint8), profile)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
