"""Writes a finished picture as PNG or JPEG: its pixels and its ICC profile, nothing else."""

import io
import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.protocol.options import Format, Options

# Every row as its difference to the one above, at zlib's level 1: at 12 MP 0.3 s, where choosing the
# filter row by row, as libpng and Pillow do, takes 0.55 to 0.6 s for no fewer bytes.
ORDINARY = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)

FULL_CHROMA_FROM = 90
"""The JPEG quality from which colours keep their full resolution (G)."""

AFTER_HEADER = 33
"""The signature's 8 bytes and the header chunk's 25; a profile comes right after. Source: PNG
specification, § 5.6 and 11.2."""


def encode(pixels: Pixels, options: Options, profile: bytes | None = None) -> bytes:
    """A composed picture, RGBA uint8[H, W, 4] with straight alpha, in the format that the options ask for.

    ``pixels`` is used up. What has a ground is written without alpha.
    """
    if options.output_format is Format.JPEG:
        return jpeg(pixels, options.jpeg_quality, profile)
    if options.fill_color is not None:
        return png(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGR), np.uint8), profile)
    # Swapped in place, which saves a copy.
    cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA, dst=pixels)
    return png(pixels, profile)


def png(pixels: Pixels, profile: bytes | None = None, settings: Sequence[int] = ORDINARY) -> bytes:
    """A PNG of BGR or BGRA uint8[H, W, 3 or 4], straight alpha, what lies under alpha 0 included.

    settings: OpenCV's, by which it is compressed. Raises ValueError for a side of more than a million.
    """
    done, encoded = cv2.imencode(".png", pixels, list(settings))
    if not done:
        raise ValueError(f"No PNG can be written of {pixels.shape}")
    content = np.asarray(encoded).tobytes()
    if profile is None:
        return content
    chunk = _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile))
    return content[:AFTER_HEADER] + chunk + content[AFTER_HEADER:]


def jpeg(pixels: Pixels, quality: int, profile: bytes | None = None) -> bytes:
    """A JPEG of an opaque RGBA picture uint8[H, W, 4]."""
    file = io.BytesIO()
    subsampling = "4:4:4" if quality >= FULL_CHROMA_FROM else "4:2:0"
    image = Image.fromarray(pixels).convert("RGB")
    image.save(file, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile)
    return file.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
