"""Opening and decoding of untrusted pictures; the header is checked before any pixel is decoded."""

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
from pixian.imaging.containers.container import MAX_METADATA_BYTES, MAX_SIDE, Container, shrunk_size
from pixian.imaging.orientation import ON_THEIR_SIDE, orientation
from pixian.imaging.spliced_file import DeadlineError, SourceFile, SplicedFile
from pixian.protocol import errors
from pixian.protocol.limits import MAX_UPLOAD_PIXELS

__all__ = ["FORMATS", "Header", "check", "decode", "open_picture", "open_result", "shrunk_size"]

PARSERS: dict[bytes, Callable[[SourceFile], Container]] = {
    b"BM": bmp.parse,
    b"GIF87a": gif.parse,
    b"GIF89a": gif.parse,
    b"\xff\xd8\xff": jpeg.parse,
    png.SIGNATURE: png.parse,
    b"II*\0": tiff.parse,
    b"MM\0*": tiff.parse,
    b"II+\0": tiff.parse,
    b"MM\0+": tiff.parse,
    b"RIFF": webp.parse,
}
"""Container parsers by the file's first bytes."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
DECODE_SECONDS = 20
"""Deadline of decoding, against pictures built to be slow; the largest ordinary one takes 2 s of CPU."""

COMPARED_PIXELS = 1 << 18
BYTES_PER_PIXEL = 4
SIDE_BYTES = 32
"""For a pixel of the sides, if one is long: the decoder's lines, and each copy's pointers to its rows. In a
result of 1 × 25 million pixels they take more than the pixels do."""


# A hostile file makes Pillow's parsers raise almost anything.
PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError),
    *(struct.error, zlib.error),
)

# open_picture enforces a limit of its own, and its error tells the user how large the picture is and may be.
Image.MAX_IMAGE_PIXELS = None

# Pillow's default is smaller than the ICC profiles of some printers, and would reject the picture.
PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_BYTES

bmp_reader.install()
png_reader.install()
tiff_reader.install()


Room = Callable[[int], AbstractContextManager[None]]
"""Reserves a number of bytes of memory for the duration of a context."""


@dataclass(frozen=True)
class Header:
    """A picture's header. width, height: in pixels as displayed, with the orientation applied."""

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
    """Return the opened picture, not decoded yet, and its header; the caller closes the picture.

    Raises Refused 400/1006 if the file isn't a picture in an allowed format, TooComplex if it would take too
    long to decode, and Refused 413/1013 for too many pixels.
    """
    return _open(file, MAX_SIDE)


def open_result(file: BinaryIO) -> tuple[Image.Image, Header]:
    """Open an upstream's result as ``open_picture`` does, but with sides of any length.

    It was paid for, and nothing says that the upstream has our limit.
    """
    return _open(file, None)


def _open(file: BinaryIO, longest: int | None) -> tuple[Image.Image, Header]:
    container = _parse_container(SourceFile(file), longest)
    try:
        image = container.image or Image.open(container.content, formats=[container.format])
        # ``decode`` gets only the image, so its file carries the variants and what is known of them.
        spliced = _spliced_file(image)
        spliced.other_ending, spliced.unchecked = container.other_ending, container.unchecked
        spliced.buffer_bytes = container.buffer_bytes + _sides_bytes(container)
        return image, _header(image)
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def decode(image: Image.Image) -> None:
    """Decode all pixels of an opened picture; raise Refused 400/1006 if they are incomplete or broken."""
    spliced = _spliced_file(image)
    deadline = time.monotonic() + DECODE_SECONDS
    for file in (spliced, *map(_raw, (spliced.other_ending, spliced.unchecked))):
        file.read_until(deadline)
    try:
        is_compared = _is_compared(image)
        _load(image, spliced.unchecked)
        if spliced.other_ending is not None and is_compared:
            _compare(image, spliced.other_ending)
    except DeadlineError as error:
        raise errors.too_slow(DECODE_SECONDS) from error
    except PILLOW_ERRORS as error:
        raise errors.unreadable_picture() from error


def decoding_bytes(image: Image.Image, header: Header) -> int:
    """Estimate the memory that decoding takes; call it after ``draft``, if the picture is drafted."""
    if isinstance(image, webp.Still):
        return webp.BYTES_PER_PIXEL * header.pixels
    # Pillow's own reader of uncompressed TIFFs needs no buffer.
    buffer_bytes = _spliced_file(image).buffer_bytes if getattr(image, "use_load_libtiff", True) else 0
    copies = 2 if _is_compared(image) else 1
    per_pixel = copies * BYTES_PER_PIXEL + getattr(image, "correction_bytes", 0)
    return buffer_bytes + per_pixel * image.width * image.height


def check(file: BinaryIO, room: Room | None = None) -> Header:
    """Return the header of a picture after making sure that it decodes completely.

    room: reserves memory while the pixels are decoded. Raises as ``open_picture``, ``decode`` and ``room``
    do.
    """
    image, header = open_picture(file)
    with image:
        # A JPEG is decoded at an eighth of its size, which is faster and reads every byte all the same. But
        # only the full size shows if a picture without an end marker is complete.
        if _spliced_file(image).other_ending is None:
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        with room(decoding_bytes(image, header)) if room else nullcontext():
            decode(image)
            image.close()
    return header


def _parse_container(source: SourceFile, longest: int | None) -> Container:
    """Parse the container that the file's first bytes announce; raise as ``open_picture`` does."""
    head = source.at(0, max(map(len, PARSERS)))
    parse = next((parse for magic, parse in PARSERS.items() if head.startswith(magic)), None)
    if parse is None:
        raise errors.unreadable_picture()
    try:
        container = parse(source)
    except (struct.error, IndexError) as error:
        raise errors.unreadable_picture() from error
    container.check_size(longest)
    return container


def _sides_bytes(container: Container) -> int:
    sides = container.width, container.height
    return SIDE_BYTES * sum(sides) if max(sides) > MAX_SIDE else 0


def _spliced_file(image: Image.Image) -> SplicedFile:
    """Return the file that the picture is read from; an empty one if it is none of ours."""
    return _raw(image.content if isinstance(image, webp.Still) else getattr(image, "fp", None))


def _raw(file: object) -> SplicedFile:
    """Return the file below the buffer; an empty one if it is none of ours."""
    raw = getattr(file, "raw", None)
    return raw if isinstance(raw, SplicedFile) else SplicedFile(io.BytesIO(), ())


def _is_compared(image: Image.Image) -> bool:
    """Return True if the picture is to be decoded twice: see ``Container.other_ending``."""
    is_drafted = bool(getattr(image, "decoderconfig", ()))
    return _spliced_file(image).other_ending is not None and not is_drafted


def _load(image: Image.Image, unchecked: BinaryIO | None) -> None:
    try:
        image.load()
    except PILLOW_ERRORS:
        if unchecked is None:
            raise
    else:
        return
    # Only the checksum may be wrong: browsers show such a picture. The first one's memory is given back here,
    # since the error holds it as long as it is handled.
    image._im = None
    with Image.open(unchecked, formats=[str(image.format)]) as other:
        other.load()
        image.im, image._mode, image.info = other.im, other.mode, other.info
        image.tile = []  # type: ignore[attr-defined]


def _compare(image: Image.Image, other_ending: BinaryIO) -> None:
    """Raise OSError if any pixel depends on the bytes after the end of the file."""
    with Image.open(other_ending, formats=[str(image.format)]) as other:
        other.load()
        step = max(1, COMPARED_PIXELS // image.width)
        for top in range(0, image.height, step):
            rows = (0, top, image.width, min(top + step, image.height))
            if image.crop(rows).tobytes() != other.crop(rows).tobytes():
                raise OSError("The pixels are incomplete")


def _header(image: Image.Image) -> Header:
    width, height = image.size
    # Checked again, for the size that Pillow has read: that is the one it allocates memory for.
    if width * height > MAX_UPLOAD_PIXELS:
        raise errors.too_many_pixels(
            width, height, MAX_UPLOAD_PIXELS, shrunk_size(width, height, MAX_UPLOAD_PIXELS)
        )
    turn = orientation(image)
    if turn in ON_THEIR_SIDE:
        width, height = height, width
    # MPO is Pillow's name for a phone's JPEG that contains a second picture.
    name = "JPEG" if image.format == "MPO" else str(image.format)
    return Header(name, width, height, turn)
