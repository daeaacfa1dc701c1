"""Each way of saying how a picture is held, and the orientation that Chromium applies."""

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pixian.tests.imaging.pictures import LONG, SHORT, app, chunk, encoded, exif, with_segments, xmp
from pixian.tests.imaging.tiff_cases import tiff

CORNERS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))
STORED = (48, 32)


def corners() -> Image.Image:
    pixels = np.zeros((*STORED[::-1], 3), np.uint8)
    halves = (slice(None, 16), slice(16, None)), (slice(None, 24), slice(24, None))
    for (rows, columns), color in zip(itertools.product(*halves), CORNERS, strict=True):
        pixels[rows, columns] = color
    return Image.fromarray(pixels)


UPPER_LEFT = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 2, 7: 3, 8: 1}
"""Which of the corners, as stored, is at the upper left for each orientation."""


@dataclass(frozen=True)
class Turned:
    name: str
    kind: str
    content: bytes
    orientation: int


def turned() -> Iterator[Turned]:
    """Each way of saying an orientation, and the one that Chromium applies."""
    yield from _turned_pngs()
    yield from _turned_jpegs()
    notes = {
        "EXIF": {"exif": exif(6)},
        "EXIF with a prefix": {"exif": b"Exif\0\0" + exif(6)},
        "XMP": {"xmp": xmp(6)},
    }
    for name, note in notes.items():
        yield Turned(f"WebP, {name}", "WEBP", encoded(corners(), "WEBP", lossless=True, **note), 1)


def _turned_pngs() -> Iterator[Turned]:
    plain = encoded(corners(), "PNG")
    in_hex = (b"Exif\0\0" + exif(6)).hex().encode()
    profile = b"\nexif\n%8d\n%s\n" % (len(in_hex) // 2, in_hex)
    before: dict[str, tuple[bytes, int]] = {
        **{f"{n}": (chunk(b"eXIf", exif(n)), n if n in UPPER_LEFT else 1) for n in range(10)},
        "big endian": (chunk(b"eXIf", exif(6, ">")), 6),
        "a LONG": (chunk(b"eXIf", exif(6, kind=LONG)), 1),
        "two values": (chunk(b"eXIf", exif(6, count=2)), 1),
        "with JPEG's prefix": (chunk(b"eXIf", b"Exif\0\0" + exif(6)), 1),
        "two chunks": (chunk(b"eXIf", exif(6)) + chunk(b"eXIf", exif(8)), 6),
        "a broken chunk first": (chunk(b"eXIf", b"xx") + chunk(b"eXIf", exif(6)), 1),
        "XMP": (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)), 1),
        "a text profile": (chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)), 1),
        "a text profile, plain": (chunk(b"tEXt", b"Raw profile type APP1\0" + profile), 1),
        "a text called exif": (chunk(b"tEXt", b"exif\0Exif\0\0" + exif(6)), 1),
    }
    for name, (chunks, orientation) in before.items():
        yield Turned(f"PNG, {name}", "PNG", plain[:33] + chunks + plain[33:], orientation)
    yield Turned("PNG, behind the pixels", "PNG", plain[:-12] + chunk(b"eXIf", exif(6)) + plain[-12:], 1)


def _turned_jpegs() -> Iterator[Turned]:
    plain = encoded(corners(), "JPEG", quality=95, subsampling=0)

    def block(content: bytes, prefix: bytes = b"Exif\0\0") -> bytes:
        return app(1, prefix + content)

    far = exif(6)[:4] + struct.pack("<I", 5000) + bytes(4992) + exif(6)[8:]
    more_entries = exif(6)[:8] + struct.pack("<H", 5) + exif(6)[10:22]
    segments: dict[str, tuple[list[bytes], int]] = {
        **{f"{n}": ([block(exif(n))], n if n in UPPER_LEFT else 1) for n in range(10)},
        "big endian": ([block(exif(6, ">"))], 6),
        "a LONG": ([block(exif(6, kind=LONG))], 1),
        "a LONG, big endian": ([block(exif(6, ">", kind=LONG))], 1),
        "two values": ([block(exif(6, count=2))], 1),
        "two segments, 6 and 8": ([block(exif(6)), block(exif(8))], 6),
        "two segments, 1 and 6": ([block(exif(1)), block(exif(6))], 1),
        "two segments, 9 and 6": ([block(exif(9)), block(exif(6))], 1),
        "two segments, broken and 6": ([block(b"x" * 12), block(exif(6))], 1),
        "two segments, empty and 6": ([block(b""), block(exif(6))], 6),
        "one block in two segments": ([block(exif(6)[:14]), block(exif(6)[14:])], 1),
        "another byte in the prefix": ([block(exif(6), b"Exif\0\xff")], 6),
        "XMP": ([block(xmp(6), b"http://ns.adobe.com/xap/1.0/\0")], 1),
        "XMP and EXIF": ([block(exif(1)), block(xmp(6), b"http://ns.adobe.com/xap/1.0/\0")], 1),
        "cut off behind the tag": ([block(more_entries)], 6),
        "a directory far away": ([block(far)], 6),
        "a directory at 0": ([block(exif(6)[:4] + bytes(4) + exif(6)[8:])], 1),
        "another number than 42": ([block(exif(6).replace(b"*", b"+", 1))], 1),
    }
    for name, (parts, orientation) in segments.items():
        yield Turned(f"JPEG, {name}", "JPEG", with_segments(plain, *parts), orientation)
    mpo = {"exif": b"Exif\0\0" + exif(6), "save_all": True, "append_images": [corners()]}
    yield Turned("MPO", "JPEG", encoded(corners(), "MPO", **mpo), 6)


def turned_tiffs() -> Iterator[Turned]:
    """A TIFF's own tag decides, in whichever type of number it comes."""
    stored = corners()

    def written(order: str = "<", **tags: tuple[int, Any]) -> bytes:
        return tiff(STORED, [stored.tobytes()], [8, 8, 8], 2, order, **tags)

    for number in range(10):
        applied = number if number in UPPER_LEFT else 1
        yield Turned(f"TIFF, {number}", "TIFF", written(tag274=(SHORT, [number])), applied)
        if applied == number:
            content = encoded(stored, "TIFF", compression="tiff_lzw", tiffinfo={0x112: number})
            yield Turned(f"compressed TIFF, {number}", "TIFF", content, applied)
    yield Turned("TIFF, big endian", "TIFF", written(">", tag274=(SHORT, [6])), 6)
    yield Turned("TIFF, a LONG", "TIFF", written(tag274=(LONG, [6])), 6)
    yield Turned("TIFF, XMP", "TIFF", written(tag700=(1, xmp(6))), 1)
    yield Turned("TIFF, XMP and a tag", "TIFF", written(tag274=(SHORT, [6]), tag700=(1, xmp(3))), 6)
    pages = {"save_all": True, "append_images": [stored], "tiffinfo": {0x112: 6}}
    yield Turned("TIFF of two pages", "TIFF", encoded(stored, "TIFF", **pages), 6)
