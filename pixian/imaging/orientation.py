"""Which way up a picture is stored, and turning it: the one answer for header, result, preview and page.

Browsers differ little here, and what Chromium does is the measure, since people compare our result with what
their browser shows: the first EXIF block decides, of a JPEG or of a PNG in front of its pixels; XMP, text
chunks and WebP's EXIF are ignored. A TIFF has its own tag.
"""

import struct
from collections.abc import Iterator

from PIL import ExifTags, Image

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

ON_THEIR_SIDE = (5, 6, 7, 8)
AS_STORED = 1

TAG = ExifTags.Base.Orientation
ENTRY_BYTES = 12
SHORT = 3
"""The only type that EXIF allows for this tag, and the only one that browsers read."""

PREFIX = b"Exif\0"
PREFIX_BYTES = 6  # with a second NUL, for which some programs write something else


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation to apply, 1 to 8, of a picture that was opened but not yet loaded.

    No pixel is decoded. Whatever is missing, damaged or out of range is 1.
    """
    tags = getattr(image, "tag_v2", None)  # a TIFF's
    value = tags.get(TAG) if tags is not None else _in_exif(_exif(image))
    return value if value in UPRIGHT else AS_STORED


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return a decoded picture turned as ``orientation`` asks for; the picture itself for 1."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF block that decides, as a TIFF; empty if there is none."""
    if image.format in ("JPEG", "MPO"):
        return next(_exif_segments(image), b"")
    if image.format == "PNG":
        block: bytes = image.info.get("eXIf", b"")
        return block
    return b""


def _exif_segments(image: Image.Image) -> Iterator[bytes]:
    """Yield a JPEG's EXIF segments that aren't empty. Pillow itself joins them all to one block."""
    for name, content in getattr(image, "applist", ()):
        if name == "APP1" and content.startswith(PREFIX) and len(content) > PREFIX_BYTES:
            yield content[PREFIX_BYTES:]


def _in_exif(block: bytes) -> int:
    """Return the tag's value in the first directory, 0 if it isn't there or the block is damaged.

    Read here, as far as it goes: a block that is cut off behind the tag still says it.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    try:
        if order is None:
            return 0
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, directory)
        for entry in range(entries):
            at = directory + 2 + entry * ENTRY_BYTES
            tag, kind, count, value = struct.unpack_from(order + "HHIH", block, at)
            if tag == TAG:
                return int(value) if (kind, count) == (SHORT, 1) else 0
    except struct.error:
        pass
    return 0
