"""WebP: keeps the first image and the metadata of its colours and orientation. Source: RFC 9649.

Pillow allocates three copies of the picture as soon as it opens a WebP, so the file is opened only when the
pixels are needed.
"""

import struct
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, WebPImagePlugin

from pixian.imaging.containers.container import MAX_METADATA_BYTES, Container, Counter, is_exif, splice
from pixian.imaging.spliced_file import Piece, Range, SourceFile, length_of
from pixian.protocol import errors

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

HEAD_BYTES = 12
LOSSY, LOSSLESS, EXTENDED, FRAME = b"VP8 ", b"VP8L", b"VP8X", b"ANMF"
METADATA = {b"ICCP": "icc_profile", b"EXIF": "exif"}
SIDE = 0x3FFF
BYTES_PER_PIXEL = 16
"""Memory that decoding takes: two canvases, a copy of one, and the picture."""

ALPHA, ANIMATED = 0x10, 0x02


class Still(Image.Image):
    """A WebP that isn't decoded before ``load``."""

    format = "WEBP"

    def __init__(self, content: BinaryIO, size: tuple[int, int], mode: str, info: dict[str, bytes]) -> None:
        super().__init__()
        self.content = content
        self._size, self._mode = size, mode
        self.info.update(info)

    def load(self) -> "PixelAccess | None":
        """Decode the pixels, once."""
        if self._im is None:
            with WebPImagePlugin.WebPImageFile(self.content) as decoded:
                decoded.load()
                self._im, self._mode, self._size = decoded.im, decoded.mode, decoded.size
        return super().load()


def parse(source: SourceFile) -> Container:
    """Parse the chunks; raise Refused 400/1006 if there is no image, and TooComplex."""
    chunks = _chunks(source)
    image = next((kind for kind in (LOSSY, LOSSLESS, FRAME) if kind in chunks), None)
    if image is None or (image == FRAME and EXTENDED not in chunks):
        raise errors.unreadable_picture()
    size, has_alpha = _header(source, chunks, image)
    metadata = _metadata(source, chunks)
    pieces = _extended(source, chunks) if EXTENDED in chunks else _chunk(image, chunks[image])
    head = struct.pack("<4sI4s", b"RIFF", 4 + sum(map(length_of, pieces)), b"WEBP")
    content = splice(source, [head, *pieces])
    info = {METADATA[kind]: data for kind, data in metadata.items()}
    start, end = chunks[image]
    still = Still(content, size, "RGBA" if has_alpha else "RGB", info)
    return Container("WEBP", *size, end - start, content, image=still)


def _chunks(source: SourceFile) -> dict[bytes, Range]:
    """Return the range of the data of the first chunk of each kind.

    Only a chunk of pixels may be cut off by the end of the file.
    """
    chunks: dict[bytes, Range] = {}
    position, counter = HEAD_BYTES, Counter("chunks")
    while position + 8 <= source.size:
        counter.add()
        kind, size = struct.unpack("<4sI", source.at(position, 8))
        end = position + 8 + size
        if kind not in chunks and (end <= source.size or kind in (LOSSY, LOSSLESS)):
            chunks[kind] = position + 8, min(end, source.size)
        position = end + size % 2
    return chunks


def _header(source: SourceFile, chunks: dict[bytes, Range], image: bytes) -> tuple[tuple[int, int], bool]:
    """Return width and height, and whether the picture has an alpha channel."""
    if EXTENDED in chunks:
        data = source.at(chunks[EXTENDED][0], 10).ljust(10, b"\0")
        width, height = int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
        return (width, height), bool(data[0] & ALPHA)
    data = source.at(chunks[image][0], 10).ljust(10, b"\0")
    if image == LOSSY:
        width, height = struct.unpack("<HH", data[6:10])
        return (width & SIDE, height & SIDE), False
    bits = int.from_bytes(data[1:5], "little")
    return ((bits & SIDE) + 1, (bits >> 14 & SIDE) + 1), bool(bits >> 28 & 1)


def _metadata(source: SourceFile, chunks: dict[bytes, Range]) -> dict[bytes, bytes]:
    metadata = {}
    for kind in METADATA:
        start, end = chunks.get(kind, (0, 0))
        if 0 < end - start <= MAX_METADATA_BYTES:
            data = source.at(start, end - start)
            if kind != b"EXIF" or is_exif(data.removeprefix(b"Exif\0\0")):
                metadata[kind] = data
    return metadata


def _extended(source: SourceFile, chunks: dict[bytes, Range]) -> list[Piece]:
    """Return the chunks of the first image, in the order that the format requires."""
    start, _end = chunks[EXTENDED]
    data = bytearray(source.at(start, 10).ljust(10, b"\0"))
    data[0] &= ALPHA | ANIMATED
    pieces: list[Piece] = [struct.pack("<4sI", EXTENDED, 10), bytes(data)]
    kinds = (b"ANIM", FRAME) if data[0] & ANIMATED else (b"ALPH", LOSSY, LOSSLESS)
    for kind in kinds:
        if kind in chunks:
            pieces += _chunk(kind, chunks[kind])
    return pieces


def _chunk(kind: bytes, data: Range) -> list[Piece]:
    size = data[1] - data[0]
    return [struct.pack("<4sI", kind, size), data, bytes(size % 2)]
