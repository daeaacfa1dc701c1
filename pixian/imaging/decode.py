"""What a picture says of itself before it is trusted: format, size and orientation from its header."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from pixian.imaging import bmp_reader, png_reader, tiff_reader
from pixian.imaging.containers import bmp, gif, jpeg, png, tiff, webp
from pixian.imaging.containers.walk import MAX_METADATA_BYTES, Container, shrunk_size
from pixian.imaging.orientation import ON_THEIR_SIDE, orientation
from pixian.imaging.splice import DeadlineError, Source, Splice
from pixian.protocol import errors
from pixian.protocol.limits import MAX_UPLOAD_PIXELS

__all__ = ["FORMATS", "Header", "check", "decode", "open_picture", "shrunk_size"]

WALKS: dict[bytes, Callable[[Source], Container]] = {
    b"BM": bmp.walk,
    b"GIF87a": gif.walk,
    b"GIF89a": gif.walk,
    b"\xff\xd8\xff": jpeg.walk,
    png.SIGNATURE: png.walk,
    b"II*\0": tiff.walk,
    b"MM\0*": tiff.walk,
    b"II+\0": tiff.walk,
    b"MM\0+": tiff.walk,
    b"RIFF": webp.walk,
}
"""By a file's first bytes."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
DECODE_SECONDS = 20
"""The largest picture takes 2 s of a CPU."""

COMPARED_ROWS = 256
BYTES_PER_PIXEL = 4
PROGRESSIVE_BYTES = 6  # all coefficients of three full channels, 2 bytes each

# Pillow answers a hostile file with whichever error its parser stumbled over.
PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError),
    *(struct.error, zlib.error),
)

# open_picture is the only door, and its own limit is stricter than Pillow's, which would refuse the
# same files without being able to say how large they are.
Image.MAX_IMAGE_PIXELS = None

# Pillow's own limit refuses the picture, and some printers' profiles are larger.
PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_BYTES

bmp_reader.install()
png_reader.install()
tiff_reader.install()


Room = Callable[[int], AbstractContextManager[None]]
"""Holds so many bytes of memory for whoever decodes."""


@dataclass(frozen=True)
class Header:
    """A picture's header. ``width`` and ``height`` are pixels as shown, orientation applied."""

    format: str
    width: int
    height: int
    orientation: int

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def content_type(self) -> str:
        return Image.MIME[self.format]


def open_picture(file: BinaryIO) -> tuple[Image.Image, Header]:
    """The picture, no pixel decoded yet, and its header; the caller closes it.

    Raises Refused 400/1006 for what isn't a picture of an allowed format, TooComplex for what would take too
    long to read, and Refused 413/1013 for too many pixels.
    """
    source = Source(file)
    container = _walk(source)
    try:
        image = container.image or Image.open(container.content, formats=[container.format])
        splice = _splice(image)
        splice.other_ending, splice.unchecked = container.other_ending, container.unchecked
        return image, _checked(image)
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def decode(image: Image.Image) -> None:
    """Read all its pixels; raises Refused 400/1006 where they are cut short or broken."""
    splice = _splice(image)
    splice.read_until(time.monotonic() + DECODE_SECONDS)
    try:
        drafted = bool(getattr(image, "decoderconfig", ()))
        _load(image, splice.unchecked)
        if splice.other_ending is not None and not drafted:
            _compare(image, splice.other_ending)
    except DeadlineError as error:
        raise errors.too_slow(DECODE_SECONDS) from error
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def decoding_bytes(image: Image.Image, header: Header) -> int:
    """About the memory that decoding takes, of a picture that is open, and drafted if it is going to be."""
    if isinstance(image, webp.Still):
        return webp.BYTES_PER_PIXEL * header.pixels
    coefficients = PROGRESSIVE_BYTES * header.pixels if image.info.get("progressive") else 0
    return coefficients + BYTES_PER_PIXEL * image.width * image.height


def check(file: BinaryIO, room: Room | None = None) -> Header:
    """The header of a picture that is whole. Every byte is read, at an eighth of the size where the
    format (JPEG) can. Raises as ``open_picture``, ``decode`` and ``room`` do.

    room: held while the pixels are in memory; given the bytes that they take.
    """
    image, header = open_picture(file)
    with image:
        # The end of a picture can only be judged at full size.
        if _splice(image).other_ending is None:
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        with room(decoding_bytes(image, header)) if room else nullcontext():
            decode(image)
            image.close()
    return header


def _walk(source: Source) -> Container:
    """The container behind the file's first bytes; raises as ``open_picture`` does."""
    head = source.at(0, max(map(len, WALKS)))
    walk = next((walk for magic, walk in WALKS.items() if head.startswith(magic)), None)
    if walk is None:
        raise errors.unreadable_picture()
    try:
        container = walk(source)
    except (struct.error, IndexError) as error:
        raise errors.unreadable_picture() from error
    container.check_size()
    return container


def _splice(image: Image.Image) -> Splice:
    """The file that the picture is read from."""
    file = image.content if isinstance(image, webp.Still) else getattr(image, "fp", None)
    raw = getattr(file, "raw", None)
    return raw if isinstance(raw, Splice) else Splice(io.BytesIO(), ())


def _load(image: Image.Image, unchecked: BinaryIO | None) -> None:
    try:
        image.load()
    except PILLOW_ERRORS:
        if unchecked is None:
            raise
        # The sum is wrong where the pixels are whole, and browsers show them.
        with Image.open(unchecked, formats=[str(image.format)]) as other:
            other.load()
            image.im, image._mode, image.info = other.im, other.mode, other.info
            image.tile = []  # type: ignore[attr-defined]


def _compare(image: Image.Image, other_ending: BinaryIO) -> None:
    """Raise OSError if some of the picture's pixels were made of what came behind the end of its file."""
    with Image.open(other_ending, formats=[str(image.format)]) as other:
        other.load()
        for top in range(0, image.height, COMPARED_ROWS):
            rows = (0, top, image.width, min(top + COMPARED_ROWS, image.height))
            if image.crop(rows).tobytes() != other.crop(rows).tobytes():
                raise OSError("The pixels are cut short")


def _checked(image: Image.Image) -> Header:
    width, height = image.size
    if width * height > MAX_UPLOAD_PIXELS:
        raise errors.too_many_pixels(
            width, height, MAX_UPLOAD_PIXELS, shrunk_size(width, height, MAX_UPLOAD_PIXELS)
        )
    turn = orientation(image)
    if turn in ON_THEIR_SIDE:
        width, height = height, width
    # A phone's JPEG with a second picture inside calls itself MPO; it is a JPEG to everybody else.
    name = "JPEG" if image.format == "MPO" else str(image.format)
    return Header(name, width, height, turn)
