"""Pictures of every kind, built byte by byte, and what is seen in them.

What is expected of PNG, JPEG, GIF, BMP and WebP is what Chromium shows, and a browser test holds both against
each other. For TIFF it is what the specification says, and libtiff's RGBA interface.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def linear(levels: Any) -> Pixels:
    """Light, 0 to 255, as sRGB has it. Source: IEC 61966-2-1."""
    light = np.asarray(levels) / 255
    curved = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curved * 255), np.uint8)


# ICC profiles. Source: ICC.1:2022.

SRGB_COLORANTS = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
P3_COLORANTS = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
D50 = (0.9642, 1.0, 0.8249)
V2, V4 = 0x02400000, 0x04200000


def icc(
    space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", pcs: bytes = b"XYZ ", version: int = V2
) -> bytes:
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(78),
        b"wtpt": _xyz(*D50),
    } | tags
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I", start + len(data)) + b"test" + struct.pack(">I", version) + kind + space + pcs
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(*D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def gamma_curve(gamma: float, version: int = V2) -> bytes:
    if version == V4:
        return b"para" + bytes(8) + struct.pack(">i", round(gamma * 65536))
    return b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)


def grey_icc(gamma: float = 1.0, **header: Any) -> bytes:
    return icc(b"GRAY", {b"kTRC": gamma_curve(gamma, header.get("version", V2))}, **header)


def rgb_icc(
    gamma: float = 1.0, colorants: Sequence[tuple[float, float, float]] = SRGB_COLORANTS, **header: Any
) -> bytes:
    curve = gamma_curve(gamma, header.get("version", V2))
    tags = {name + b"XYZ": _xyz(*color) for name, color in zip((b"r", b"g", b"b"), colorants, strict=True)}
    return icc(b"RGB ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")}, **header)


def ink_icc() -> bytes:
    """A printer's; black ink lets nothing through."""
    table = [
        (255 - 60 * c - 70 * m - 20 * y, 128 - 40 * c + 60 * m, 128 - 30 * c + 60 * y)
        if not k
        else (20, 128, 128)
        for c, m, y, k in itertools.product((0, 1), repeat=4)
    ]
    head = (
        b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    )
    lut = head + bytes(range(256)) * 4 + b"".join(map(bytes, table)) + bytes(range(256)) * 3
    return icc(b"CMYK", {b"A2B0": lut}, kind=b"prtr", pcs=b"Lab ")


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(part * 65536) for part in (x, y, z)))


# EXIF and PNG. Sources: TIFF 6.0; PNG specification.

SHORT, LONG = 3, 4


def exif(orientation: int, order: str = "<", kind: int = SHORT, count: int = 1) -> bytes:
    """A TIFF with nothing but an orientation."""
    value = struct.pack(
        order + {SHORT: "HH", LONG: "I"}[kind], *[orientation, 0][: 2 if kind == SHORT else 1]
    )
    entry = struct.pack(order + "HHI", 0x112, kind, count) + value
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    return start + struct.pack(order + "H", 1) + entry + bytes(4)


def xmp(orientation: int) -> bytes:
    about = (
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>' % orientation
    )
    rdf = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF>' % about
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/">%s</x:xmpmeta>' % rdf


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"a\0\0" + zlib.compress(profile))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def png(
    size: tuple[int, int],
    depth: int,
    color: int,
    rows: Sequence[bytes],
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """before, after: chunks around the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND")


def app(number: int, content: bytes) -> bytes:
    """A JPEG's segment for applications."""
    return bytes((0xFF, 0xE0 + number)) + struct.pack(">H", len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def icc_segments(profile: bytes, size: int = 60_000) -> list[bytes]:
    parts = [profile[at : at + size] for at in range(0, len(profile), size)]
    return [app(2, b"ICC_PROFILE\0" + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)]
