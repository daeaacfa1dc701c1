"""What a picture says of itself before it is trusted: format, size and orientation from its header."""

from dataclasses import dataclass
from math import sqrt
from typing import BinaryIO

from PIL import Image

from pixian import bmp_reader, errors, png_reader, tiff_reader
from pixian.limits import MAX_UPLOAD_PIXELS
from pixian.orientation import ON_THEIR_SIDE, orientation

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

# Pillow answers a hostile file with whichever error its parser stumbled over.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, OverflowError)

# open_picture is the only door, and its own limit is stricter than Pillow's, which would refuse the
# same files without being able to say how large they are.
Image.MAX_IMAGE_PIXELS = None

bmp_reader.install()
png_reader.install()
tiff_reader.install()


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

    Raises Refused 400/1006 for what isn't a picture of an allowed format, and 413/1013 for too many
    pixels.
    """
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
        return image, _checked(image)
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def decode(image: Image.Image) -> None:
    """Read all its pixels; raises Refused 400/1006 where they are cut short or broken."""
    try:
        image.load()
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def check(file: BinaryIO) -> Header:
    """The header of a picture that is whole. Every byte is read, at an eighth of the size where the
    format (JPEG) can. Raises as ``open_picture`` and ``decode`` do."""
    image, header = open_picture(file)
    with image:
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        decode(image)
    return header


def shrunk_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most ``max_pixels``; never enlarges."""
    if width * height <= max_pixels:
        return width, height
    scale = sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


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
