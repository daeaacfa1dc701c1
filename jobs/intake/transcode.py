"""Turn HEIC and AVIF, which phones make and the upstream doesn't take, into JPEG or PNG without visible loss.

The file is recognised by its bytes and measured before any pixel is decoded. The result is upright, has 8
bits a channel and the original's ICC profile, and no other metadata. The contract's own formats
(``pixian.imaging.decode``) stay as they are, for programs too.
"""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO

import pillow_heif
from django.core.files.uploadedfile import TemporaryUploadedFile
from PIL import Image

from pixian.imaging.decode import PILLOW_ERRORS, Header, Room, shrunk_size
from pixian.imaging.layout import MAX_SIDE
from pixian.imaging.orientation import AS_STORED, TAG, upright
from pixian.protocol import errors
from pixian.protocol.errors import Code, Refused
from pixian.protocol.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS
from pixian.protocol.options import Format

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
AVIF_BRANDS = frozenset({b"avif"})
STILL_BRAND = b"mif1"
"""A picture in either coding; the compatible brands tell which."""

ANIMATION_BRAND = b"avis"
SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1", ANIMATION_BRAND})
MAX_BRANDS_BYTES = 256

EXTENT = re.compile(rb"\0\0\0\x14ispe\0{4}(.{4})(.{4})", re.DOTALL)
"""The property that gives the size of a picture, of one of its tiles, or of its alpha channel."""

BYTES_PER_PIXEL = {False: 14, True: 22}
"""The most memory that decoding and encoding took, without and with an alpha channel, at 8 and 10 bits."""

PNG: list[dict[str, Any]] = [{"format": "PNG", "compress_level": 3}]  # twice as fast as 6, and 5 % larger
# 4:4:4, so that coloured edges keep their sharpness. The lower qualities are for a picture that would be
# larger than the contract allows.
JPEGS: list[dict[str, Any]] = [
    {"format": "JPEG", "subsampling": 0, "quality": quality} for quality in (95, 90, 85)
]
JPEG_SIDE = MAX_SIDE[Format.JPEG]
DECODING_ERRORS = (*PILLOW_ERRORS, RuntimeError, MemoryError)


class SeveralPicturesError(Refused):
    """A sequence, such as a burst or an animation: nobody can say which of its pictures is meant."""

    def __init__(self) -> None:
        super().__init__(400, Code.UNREADABLE, "The file contains several pictures.")


class SideTooLongError(Refused):
    """A side is longer than any of a JPEG, though the pixels may be few."""

    def __init__(self, width: int, height: int) -> None:
        refusal = errors.side_too_long(width, height, JPEG_SIDE)
        super().__init__(refusal.status, refusal.code, refusal.message)


@dataclass(frozen=True)
class Transcoded:
    """A picture that the upstream takes. ending: of the original, which is kept beside it."""

    file: TemporaryUploadedFile
    header: Header
    ending: str


@dataclass(frozen=True)
class _Opened:
    """A picture whose header was read. pixels: of its largest part. size: the bytes that it needs."""

    image: Image.Image | pillow_heif.HeifFile
    pixels: int

    @property
    def size(self) -> int:
        return BYTES_PER_PIXEL[self.image.mode[-1] in "Aa"] * self.pixels

    def decode(self) -> Image.Image:
        """Return the pixels, upright."""
        if isinstance(self.image, Image.Image):
            self.image.load()
            # Pillow puts what the container says in place of the EXIF's own, and doesn't apply it.
            return upright(self.image, self.image.getexif().get(TAG, AS_STORED))
        return self.image.to_pillow()  # upright: the container's turns are applied, and EXIF's don't count


def transcode(file: BinaryIO, room: Room | None = None) -> Transcoded | None:
    """Return what the upstream takes instead of a HEIC or AVIF; None for any other file.

    room: reserves memory while the pixels are decoded. Raises Refused 400/1006 for a file that is broken or
    a sequence, 413/1013 for too many pixels or too long a side, 413/1012 for too many bytes, and what
    ``room`` raises.
    """
    ending = _ending(_brands(file))
    if ending is None:
        return None
    file.seek(0)
    content = file.read()
    try:
        opened = _open(content, ending)
    except DECODING_ERRORS as error:
        raise errors.unreadable_picture() from error
    with room(opened.size) if room else nullcontext():
        try:
            image = opened.decode()
            del opened  # and its own copy of the pixels
        except DECODING_ERRORS as error:
            raise errors.unreadable_picture() from error
        return _encoded(image, ending)


def _brands(file: BinaryIO) -> list[bytes]:
    """Return the brands of an ISO media file, the major one first; none for any other file."""
    file.seek(0)
    head = file.read(MAX_BRANDS_BYTES)
    if head[4:8] != b"ftyp":
        return []
    end = min(struct.unpack(">I", head[:4])[0], len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def _ending(brands: list[bytes]) -> str | None:
    """Return the file name's ending for these brands; None if they aren't a picture's."""
    if not brands:
        return None
    if brands[0] in SEQUENCE_BRANDS or ANIMATION_BRAND in brands:
        raise SeveralPicturesError
    coding = brands if brands[0] == STILL_BRAND else brands[:1]
    if HEIC_BRANDS.intersection(coding):
        return "heic"
    return "avif" if AVIF_BRANDS.intersection(coding) else None


def _open(content: bytes, ending: str) -> _Opened:
    """Open a picture without decoding it, if none of its parts is too large."""
    image: Image.Image | pillow_heif.HeifFile
    if ending == "avif":
        image = Image.open(io.BytesIO(content), formats=["AVIF"])
        if getattr(image, "n_frames", 1) > 1:
            raise SeveralPicturesError
    else:
        image = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
    sizes = [image.size, *_extents(content)]
    for width, height in sizes:
        if width * height > MAX_UPLOAD_PIXELS:
            shrink_to = shrunk_size(width, height, MAX_UPLOAD_PIXELS)
            raise errors.too_many_pixels(width, height, MAX_UPLOAD_PIXELS, shrink_to)
        if max(width, height) > JPEG_SIDE:
            raise SideTooLongError(width, height)
    return _Opened(image, max(width * height for width, height in sizes))


def _extents(content: bytes) -> Iterator[tuple[int, int]]:
    for match in EXTENT.finditer(content):
        yield struct.unpack(">II", match[1] + match[2])


def _encoded(image: Image.Image, ending: str) -> Transcoded:
    """Encode pixels: as PNG if any is transparent, else as JPEG."""
    profile = image.info.get("icc_profile") or b""
    image = _plain(image)
    image.info.clear()  # what is in there, Pillow may write again
    for options in PNG if image.mode == "RGBA" else JPEGS:
        encoded = io.BytesIO()
        image.save(encoded, icc_profile=profile, **options)
        if encoded.tell() <= MAX_UPLOAD_BYTES:
            header = Header(str(options["format"]), *image.size, AS_STORED)
            with encoded.getbuffer() as content:  # released at once, else ``encoded`` can't be closed
                return Transcoded(_stored(content), header, ending)
    raise errors.too_many_bytes(encoded.tell(), MAX_UPLOAD_BYTES)


def _stored(content: memoryview) -> TemporaryUploadedFile:
    file = TemporaryUploadedFile("source", None, len(content), None)
    try:
        file.write(content)
        file.flush()
    except OSError:
        file.close()
        raise
    return file


def _plain(image: Image.Image) -> Image.Image:
    """Return the pixels as RGB or grey, or as RGBA if any is transparent."""
    if image.mode in ("RGB", "L"):
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    straight = image if image.mode == "RGBA" else image.convert("RGBA")
    return straight.convert("RGB") if straight.getchannel("A").getextrema() == (255, 255) else straight
