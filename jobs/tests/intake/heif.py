"""HEIC and AVIF files of every kind, made here."""

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms

GPS = b"GPS-of-the-studio"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf>secret-place</rdf></x:xmpmeta>'
# Any profile that isn't sRGB's.
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.ImageDescription] = GPS.decode()
    return block.tobytes()


def heic(image: Image.Image, orientation: int = 1, bits: int = 8, **info: Any) -> bytes:
    """Return a HEIC whose stored pixels are the image's, to be turned as both irot/imir and EXIF say."""
    mode, content = image.mode, image.tobytes()
    if bits > 8:
        mode += ";16"
        content = (np.asarray(image).astype("<u2") * 257).tobytes()
    made = pillow_heif.from_bytes(mode, image.size, content)
    made.info.update({"exif": exif(orientation), "bit_depth": bits} | info)
    file = io.BytesIO()
    made.save(file, quality=98, chroma=444)
    return file.getvalue()


def avif(image: Image.Image, orientation: int = 1, **options: Any) -> bytes:
    file = io.BytesIO()
    options = {"quality": 95, "subsampling": "4:4:4", "exif": exif(orientation)} | options
    image.save(file, "AVIF", **options)
    return file.getvalue()


def with_brand(content: bytes, brand: bytes) -> bytes:
    return content[:8] + brand + content[12:]


def with_extent(content: bytes, width: int, height: int) -> bytes:
    """Return a file that claims to be of another size."""
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


def unturned(content: bytes) -> bytes:
    """Return a HEIC whose container says that nothing is to be turned, whatever EXIF says."""
    at = content.index(b"irot") + 4
    return content[:at] + b"\0" + content[at + 1 :]
