import io
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixian.imaging import decode, spliced_file
from pixian.protocol.errors import Code, Refused, TooComplex
from pixian.tests.imaging.attacks import tiff_of_a_jpeg
from pixian.tests.imaging.odd_pictures import ODD
from pixian.tests.imaging.pictures import LONG, SHORT, png
from pixian.tests.imaging.tiff_cases import tiff


def encoded(kind: str, size: tuple[int, int] = (40, 30), **save: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind, **save)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than anyone may decode."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def code_of(data: bytes) -> int:
    with pytest.raises(Refused) as caught:
        decode.check(io.BytesIO(data))
    return caught.value.code


@pytest.mark.parametrize("kind", decode.FORMATS)
def test_a_whole_picture_passes(kind: str) -> None:
    header = decode.check(io.BytesIO(encoded(kind)))
    assert (header.format, header.width, header.height, header.orientation) == (kind, 40, 30, 1)
    assert header.content_type.startswith("image/")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_picture_on_its_side_is_measured_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    header = decode.check(io.BytesIO(encoded(kind, exif=exif)))
    assert (header.width, header.height, header.orientation) == (30, 40, 6)


def test_the_header_of_a_png_is_read_without_its_pixels() -> None:
    image, _header = decode.open_picture(io.BytesIO(bomb(900, 900)))
    with image, pytest.raises(Refused):
        decode.decode(image)


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"<svg/>", b"GIF89a"], ids=repr)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert code_of(data) == Code.UNREADABLE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    noise = Image.effect_noise((200, 200), 80)
    file = io.BytesIO()
    noise.save(file, kind)
    assert code_of(file.getvalue()[: len(file.getvalue()) // 2]) == Code.UNREADABLE


@pytest.mark.parametrize("name", ["wrong checksum of pixels", "JPEG without its end"])
def test_the_deadline_holds_for_a_picture_that_is_read_twice(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _header = decode.open_picture(io.BytesIO(ODD[name][1]()))
    opened = Image.open

    def opened_late(*args: Any, **options: Any) -> Image.Image:
        monkeypatch.setattr(spliced_file, "time", SimpleNamespace(monotonic=lambda: float("inf")))
        return opened(*args, **options)

    monkeypatch.setattr(Image, "open", opened_late)
    with image, pytest.raises(TooComplex) as caught:
        decode.decode(image)
    assert "20 seconds" in caught.value.message


def jpeg_of_scans(components: int, scans: int) -> bytes:
    """A grey JPEG of 160 × 120 whose components come in so many scans: in all, or each in one of its own."""
    count = struct.pack(">H", 8 + 3 * components), struct.pack(">BHHB", 8, 120, 160, components)
    parts = b"".join(bytes([number, 0x11, 0]) for number in range(components))
    content = b"\xff\xd8\xff\xdb\0\x43\0" + bytes([1]) * 64 + b"\xff\xc0" + b"".join(count) + parts
    for table in (0, 0x10):  # one code of one bit, for nothing
        content += b"\xff\xc4\0\x14" + bytes([table, 1]) + bytes(16)
    for scan in range(scans):
        ids = range(components) if scans == 1 else [scan]
        head = struct.pack(">HB", 6 + 2 * len(ids), len(ids)) + b"".join(bytes([number, 0]) for number in ids)
        content += b"\xff\xda" + head + b"\0\x3f\0" + bytes(160 * 120 // 64 * 2 * len(ids) // 8)
    return content + b"\xff\xd9"


def deflated(samples: int, bits: int, photometric: int, *, rows: int = 120, **tags: Any) -> bytes:
    """A black TIFF of 160 × 120. rows: in a strip; all strips have the same bytes."""
    strip = zlib.compress(bytes(160 * rows * samples * bits // 8))
    if (count := 120 // rows) > 1:
        tags |= {"tag273": (LONG, [8] * count), "tag279": (LONG, [len(strip)] * count)}
    tags |= {"tag259": (SHORT, [8]), "tag278": (LONG, [rows])}
    return tiff((160, 120), [strip], [bits] * samples, photometric, **tags)


WIDE_PNG = png((160, 120), 16, 2, [bytes(160 * 6)] * 120, chunk(b"tRNS", bytes(6)))
RESERVED: dict[str, tuple[bytes, float]] = {
    "JPEG": (encoded("JPEG", (160, 120)), 4),
    "JPEG, progressive": (encoded("JPEG", (160, 120), progressive=True), 4 + 6),
    "JPEG without its end, which is read twice": (encoded("JPEG", (160, 120))[:-2], 8),
    "JPEG of one scan": (jpeg_of_scans(3, 1), 4),
    "JPEG of a scan for each colour": (jpeg_of_scans(3, 3), 4 + 6),
    "JPEG of a scan for each ink": (jpeg_of_scans(4, 4), 4 + 8),
    "PNG": (encoded("PNG", (160, 120)), 4),
    "PNG of 16 bits, a colour of which is transparent": (WIDE_PNG, 4 + 6),
    "WebP": (encoded("WEBP", (160, 120)), 16),
    "TIFF": (encoded("TIFF", (160, 120)), 4),
    "TIFF, deflated": (deflated(3, 8, 2), 4 + 3),
    "TIFF of strips": (deflated(3, 8, 2, rows=12), 4 + 0.3),
    "TIFF of 16 bits and alpha": (deflated(4, 16, 2, tag338=(SHORT, [2])), 4 + 8),
    "TIFF of 16 bits in strips": (deflated(4, 16, 2, rows=12, tag338=(SHORT, [2])), 4 + 0.8),
    "TIFF of Lab, which is converted": (deflated(3, 16, 8), 4 + 6 + 8),
    "TIFF of YCbCr, which becomes RGBA": (deflated(3, 8, 6, tag530=(SHORT, [1, 1])), 4 + 4),
    "TIFF of a JPEG": (encoded("TIFF", (160, 120), compression="jpeg"), 4 + 3),
    "TIFF of a progressive JPEG": (tiff_of_a_jpeg(1, 160), 4 + 4 + 6),
}
"""By name: a picture, and the bytes that are reserved for each pixel, beside the whole file of a TIFF."""


@pytest.mark.parametrize(("content", "per_pixel"), RESERVED.values(), ids=RESERVED)
def test_memory_is_reserved_for_what_a_decoder_keeps(content: bytes, per_pixel: float) -> None:
    image, header = decode.open_picture(io.BytesIO(content))
    with image:
        file = len(content) if getattr(image, "use_load_libtiff", False) else 0
        assert decode.decoding_bytes(image, header) == pytest.approx(per_pixel * header.pixels + file)
        decode.decode(image)


def test_a_picture_that_is_read_twice_is_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _header = decode.open_picture(io.BytesIO(ODD["wrong checksum of pixels"][1]()))
    opened, kept = Image.open, []

    def opened_again(*args: Any, **options: Any) -> Image.Image:
        kept.append(image._im)
        return opened(*args, **options)

    monkeypatch.setattr(Image, "open", opened_again)
    with image:
        decode.decode(image)
    assert kept == [None]


def test_a_jpeg_that_is_drafted_needs_all_its_coefficients() -> None:
    image, header = decode.open_picture(io.BytesIO(jpeg_of_scans(3, 3)))
    with image:
        image.draft(None, (20, 15))
        assert decode.decoding_bytes(image, header) == 6 * 160 * 120 + 4 * 20 * 15


def test_too_many_pixels_are_refused_from_the_header() -> None:
    with pytest.raises(Refused) as caught:
        decode.open_picture(io.BytesIO(bomb(30_000, 30_000)))
    assert (caught.value.status, caught.value.code) == (413, Code.TOO_MANY_PIXELS)
    assert "900,000,000" in caught.value.message


@pytest.mark.parametrize("size", [(65_536, 3), (3, 65_536), (1, 1_000_000)])
def test_a_result_has_sides_of_any_length(size: tuple[int, int]) -> None:
    content = encoded("PNG", size)
    assert code_of(content) == Code.TOO_MANY_PIXELS
    image, header = decode.open_result(io.BytesIO(content))
    with image:
        assert (header.width, header.height) == size
        assert decode.decoding_bytes(image, header) == 4 * header.pixels + 32 * sum(size)
        decode.decode(image)


def test_a_result_has_no_more_pixels_than_an_upload() -> None:
    with pytest.raises(Refused) as caught:
        decode.open_result(io.BytesIO(bomb(30_000, 30_000)))
    assert caught.value.code == Code.TOO_MANY_PIXELS


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(100, 25_000_000))
def test_shrinking_keeps_the_bound(width: int, height: int, most: int) -> None:
    new_width, new_height = decode.shrunk_size(width, height, most)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert new_width * new_height <= max(most, width, height)
    if width * height <= most:
        assert (new_width, new_height) == (width, height)
