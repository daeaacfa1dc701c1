"""The same picture in files that are odd, and in files that are cut short."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SIZE = 160, 120
WRONG = 0x5A5A


def scene() -> Image.Image:
    """A picture with something in each corner, and noise, so that no two rows are alike."""
    pixels = np.random.default_rng(1).integers(0, 20, (*SIZE[::-1], 3), np.uint8)
    pixels[..., 0] += np.arange(SIZE[0], dtype=np.uint8)
    pixels[..., 1] += np.arange(SIZE[1], dtype=np.uint8)[:, np.newaxis]
    pixels[30:80, 40:100] = (200, 60, 30)
    return Image.fromarray(pixels)


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or scene()).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ wrong)


def segment(kind: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(data) + 2 if length is None else length) + data


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + b"WEBP" + body


PNG, JPEG, GIF, BMP = (
    saved("PNG"),
    saved("JPEG", quality=92),
    saved("GIF", scene().quantize(64)),
    saved("BMP"),
)
PROGRESSIVE = saved("JPEG", quality=92, progressive=True)
RESTARTS = saved("JPEG", quality=92, restart_marker_blocks=3)
WEBP, EXTENDED_WEBP = saved("WEBP", lossless=True), saved("WEBP", lossless=True, exif=bytes(31))
NARROW_BMP = saved("BMP", scene().crop((0, 0, 159, 120)))
TIFF, PACKED_TIFF = saved("TIFF"), saved("TIFF", compression="tiff_adobe_deflate")
PROFILE = zlib.compress(np.random.default_rng(2).bytes(2 << 20))
SOON = JPEG.index(b"\xff\xdb")


def png_with(*extra: bytes) -> bytes:
    """Chunks before the pixels."""
    at = PNG.index(b"IDAT") - 4
    return PNG[:at] + b"".join(extra) + PNG[at:]


def jpeg_with(*extra: bytes) -> bytes:
    """Segments before the first table."""
    return JPEG[:SOON] + b"".join(extra) + JPEG[SOON:]


def png_with_a_wrong_checksum_of_its_pixels() -> bytes:
    at = PNG.index(b"IDAT")
    pixels = PNG[at + 4 : -20] + b"abcd"
    return PNG[: at - 4] + chunk(b"IDAT", pixels) + PNG[-12:]


def png_in_many_chunks() -> bytes:
    at = PNG.index(b"IDAT")
    pixels = PNG[at + 4 : -16]
    parts = b"".join(chunk(b"IDAT", pixels[start : start + 9]) for start in range(0, len(pixels), 9))
    return PNG[: at - 4] + parts + PNG[-12:]


def tiff_with(tag: int, kind: int, count: int, value: int) -> bytes:
    """One more entry, in front of all others, in a directory at the end of the file."""
    (start,) = struct.unpack("<I", TIFF[4:8])
    (entries,) = struct.unpack("<H", TIFF[start : start + 2])
    rest = TIFF[start + 2 : start + 2 + 12 * entries]
    directory = struct.pack("<HHHII", entries + 1, tag, kind, count, value) + rest + bytes(4)
    return TIFF[:4] + struct.pack("<I", len(TIFF)) + TIFF[8:] + directory


PLAIN = {
    "png": PNG, "jpeg": JPEG, "progressive": PROGRESSIVE, "restarts": RESTARTS, "gif": GIF, "bmp": BMP,
    "narrow bmp": NARROW_BMP, "webp": WEBP, "tiff": TIFF,
}  # fmt: skip

ODD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "text with a wrong CRC": ("png", lambda: png_with(chunk(b"tEXt", b"Comment\0hi", WRONG))),
    "profile with a wrong CRC": (
        "png",
        lambda: png_with(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(500)), WRONG)),
    ),
    "EXIF with a wrong CRC": ("png", lambda: png_with(chunk(b"eXIf", b"II*\0" + bytes(30), WRONG))),
    "gamma with a wrong CRC": ("png", lambda: png_with(chunk(b"gAMA", struct.pack(">I", 100), WRONG))),
    "transparency with a wrong CRC": ("png", lambda: png_with(chunk(b"tRNS", bytes(6), WRONG))),
    "unknown chunk with a wrong CRC": ("png", lambda: png_with(chunk(b"prVt", b"x", WRONG))),
    "short chunks": (
        "png",
        lambda: png_with(
            *(chunk(kind, b"") for kind in (b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tRNS", b"iCCP"))
        ),
    ),
    "short animation": (
        "png",
        lambda: png_with(chunk(b"acTL", b"x"), chunk(b"fcTL", b"x"), chunk(b"fdAT", b"")),
    ),
    "text of 2 MB": (
        "png",
        lambda: png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (2 << 20)))),
    ),
    "text by an unknown method": ("png", lambda: png_with(chunk(b"zTXt", b"Comment\0\x07abc"))),
    "profile of 2 MB": ("png", lambda: png_with(chunk(b"iCCP", b"p\0\0" + PROFILE))),
    "profile by an unknown method": ("png", lambda: png_with(chunk(b"iCCP", b"p\0\x07abc"))),
    "profile without a name": ("png", lambda: png_with(chunk(b"iCCP", b"\0\0abc"))),
    "EXIF that is no TIFF, in PNG": ("png", lambda: png_with(chunk(b"eXIf", bytes(30)))),
    "EXIF that is cut short, in PNG": ("png", lambda: png_with(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x05\1"))),
    "wrong CRC of pixels": ("png", lambda: PNG[:-16] + b"abcd" + PNG[-12:]),
    "wrong checksum of pixels": ("png", png_with_a_wrong_checksum_of_its_pixels),
    "pixels in chunks of 9 bytes": ("png", png_in_many_chunks),
    "PNG without its end": ("png", lambda: PNG[:-12]),
    "PNG without its end and checksums": ("png", lambda: PNG[:-20]),
    "PNG with something behind": ("png", lambda: PNG + b"<html>"),
    "JPEG without its end": ("jpeg", lambda: JPEG[:-2]),
    "JPEG with half its end": ("jpeg", lambda: JPEG[:-1]),
    "JPEG with zeros for its end": ("jpeg", lambda: JPEG[:-2] + bytes(16)),
    "progressive JPEG without its end": ("progressive", lambda: PROGRESSIVE[:-2]),
    "JPEG with restarts without its end": ("restarts", lambda: RESTARTS[:-2]),
    "EXIF that is no TIFF, in JPEG": ("jpeg", lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(40)))),
    "EXIF that is cut short, in JPEG": (
        "jpeg",
        lambda: jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x09\1\x12")),
    ),
    "empty segments": (
        "jpeg",
        lambda: jpeg_with(*(segment(kind, b"") for kind in (*range(0xE0, 0xF0), 0xFE))),
    ),
    "a segment of length 0": ("jpeg", lambda: jpeg_with(segment(0xE5, b"", length=0))),
    "short well-known segments": (
        "jpeg",
        lambda: jpeg_with(
            segment(0xE0, b"JFIF\0\1"),
            segment(0xEE, b"Adobe\0"),
            segment(0xE2, b"ICC_PROFILE\0"),
            segment(0xE2, b"MPF\0MM"),
            segment(0xED, b"Photoshop 3.0\x008BIM\4"),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x"),
        ),
    ),
    "profile with a part missing": (
        "jpeg",
        lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0\2\3" + bytes(99))),
    ),
    "rubbish between segments": ("jpeg", lambda: jpeg_with(b"abc\xff\0def\xff\x01\xff\xd3\xff\xff\xff")),
    "an index of more pictures": ("jpeg", lambda: jpeg_with(segment(0xE2, b"MPF\0II*\0" + bytes(40)))),
    "GIF without its trailer": ("gif", lambda: GIF[:-1]),
    "GIF without its last block": ("gif", lambda: GIF[:-2]),
    "BMP without its last padding": ("narrow bmp", lambda: NARROW_BMP[:-1]),
    "EXIF that is no TIFF, in WebP": ("webp", lambda: EXTENDED_WEBP),
    "EXIF that is cut off, in WebP": ("webp", lambda: EXTENDED_WEBP[:-20]),
    "WebP of another length": ("webp", lambda: riff((b"VP8L", WEBP[20:]), size=len(WEBP) + 100)),
    "WebP of a shorter length": ("webp", lambda: riff((b"VP8L", WEBP[20:]), size=30)),
    "WebP with odd bytes behind": ("webp", lambda: WEBP + b"abc"),
    "WebP with unknown chunks": (
        "webp",
        lambda: riff((b"abcd", b"x"), (b"VP8X", EXTENDED_WEBP[20:30]), (b"efgh", b""), (b"VP8L", WEBP[20:])),
    ),
    "TIFF with text outside the file": ("tiff", lambda: tiff_with(254, 2, 1 << 30, 1 << 30)),
    "TIFF with a tag of an unknown type": ("tiff", lambda: tiff_with(254, 99, 1, 1)),
    "TIFF with EXIF in a loop": ("tiff", lambda: tiff_with(34665, 4, 1, 8)),
}
"""By name: which picture it is, and how it is made."""

CUT: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: JPEG[: len(JPEG) // 2],
    "JPEG, at its last block": lambda: JPEG[:-40],
    "progressive JPEG": lambda: PROGRESSIVE[:-10],
    "progressive JPEG, between two scans": lambda: PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")],
    "JPEG, before a restart": lambda: RESTARTS[
        : max(RESTARTS.rindex(bytes([0xFF, 0xD0 + n])) for n in range(8))
    ],
    "JPEG, behind a restart": lambda: RESTARTS[
        : 2 + max(RESTARTS.rindex(bytes([0xFF, 0xD0 + n])) for n in range(8))
    ],
    "PNG": lambda: PNG[: len(PNG) // 2],
    "PNG, its end in place": lambda: PNG[: len(PNG) // 2] + bytes(4) + PNG[-12:],
    "PNG, its last row": lambda: PNG[:-200],
    "GIF": lambda: GIF[: len(GIF) // 2],
    "GIF, its last row": lambda: GIF[:-40],
    "BMP": lambda: BMP[:-100],
    "WebP": lambda: WEBP[: len(WEBP) // 2],
    "TIFF": lambda: PACKED_TIFF[: len(PACKED_TIFF) // 2],
}
