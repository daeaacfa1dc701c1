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
from pixian.tests.imaging.odd_pictures import ODD


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


def test_too_many_pixels_are_refused_from_the_header() -> None:
    with pytest.raises(Refused) as caught:
        decode.open_picture(io.BytesIO(bomb(30_000, 30_000)))
    assert (caught.value.status, caught.value.code) == (413, Code.TOO_MANY_PIXELS)
    assert "900,000,000" in caught.value.message


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(100, 25_000_000))
def test_shrinking_keeps_the_bound(width: int, height: int, most: int) -> None:
    new_width, new_height = decode.shrunk_size(width, height, most)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert new_width * new_height <= max(most, width, height)
    if width * height <= most:
        assert (new_width, new_height) == (width, height)
