"""A picture's orientation: read from its metadata, and applied. Header, result and preview all use this.

It is read as Chromium does, since users compare the result with what their browser displays. The first EXIF
block decides, of a JPEG or before the pixels of a PNG; XMP, text chunks and a WebP's EXIF are ignored. A TIFF
has a tag of its own.
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
"""The operation that undoes each EXIF orientation. Source: EXIF 2.3, tag 0x0112."""

ON_THEIR_SIDE = (5, 6, 7, 8)
AS_STORED = 1

TAG = ExifTags.Base.Orientation
ENTRY_BYTES = 12
SHORT = 3
"""The only type that EXIF allows for this tag, and the only one that browsers accept."""

PREFIX = b"Exif\0"
PREFIX_BYTES = 6  # with a second NUL, instead of which some programs write something else


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, of an opened picture; 1 if it is missing, damaged or out of range.

    No pixel is decoded.
    """
    tags = getattr(image, "tag_v2", None)  # a TIFF's
    value = tags.get(TAG) if tags is not None else _in_exif(_exif(image))
    return value if value in UPRIGHT else AS_STORED


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return a decoded picture with the orientation applied; the picture itself for 1."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _exif(image: Image.Image) -> bytes:
    """Return the first EXIF block, without its prefix; empty if there is none."""
    if image.format in ("JPEG", "MPO"):
        return next(_exif_segments(image), b"")
    if image.format == "PNG":
        block: bytes = image.info.get("eXIf", b"")
        return block
    return b""


def _exif_segments(image: Image.Image) -> Iterator[bytes]:
    """Yield a JPEG's EXIF segments that aren't empty; Pillow itself would join them into one block."""
    for name, content in getattr(image, "applist", ()):
        if name == "APP1" and content.startswith(PREFIX) and len(content) > PREFIX_BYTES:
            yield content[PREFIX_BYTES:]


def _in_exif(block: bytes) -> int:
    """Return the orientation tag of the first directory; 0 if it is missing or the block is damaged.

    Pillow's parser isn't used since it rejects a block that is cut off anywhere, even after the tag.
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
