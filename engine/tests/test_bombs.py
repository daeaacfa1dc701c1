"""Hostile files: refused from what their header says, without a rise in memory, and the engine lives on."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from engine.tests.conftest import REMOVE, photo, refusal, upload

STATUS = Path("/proc/self/status")
PEAK_IS_RESET_BY = Path("/proc/self/clear_refs")
MEGABYTE = 1024  # in the kernel's kB
RISE_ALLOWED = 50 * MEGABYTE
UNREADABLE, TOO_MANY_PIXELS = (400, 1006), (413, 1013)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *extra,
            chunk(b"IDAT", pixels or zlib.compress(bytes(64))),
            chunk(b"IEND", b""),
        ]
    )


def wide_png() -> bytes:
    return png(30_000, 30_000)


def png_that_lies() -> bytes:
    """A small header before pixels for a hundred times as much."""
    return png(100, 100, pixels=zlib.compress(bytes(200 << 20)))


def text_bomb() -> bytes:
    return png(8, 8, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20))))


def profile_bomb() -> bytes:
    return png(8, 8, chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200 << 20))))


def bmp_that_lies() -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def tiff_that_lies() -> bytes:
    entries = [
        (256, 4, 50_000),
        (257, 4, 50_000),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (279, 4, 1),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + table + bytes(4)


def wide_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + bytes(6) + b",\0\0\0\0" + bytes(6)


def web_page() -> bytes:
    return b"<!doctype html><script>alert(1)</script>"


def zip_archive() -> bytes:
    return b"PK\x03\x04" + bytes(200)


BOMBS: dict[Callable[[], bytes], set[tuple[int, int]]] = {
    wide_png: {TOO_MANY_PIXELS},
    png_that_lies: {UNREADABLE, (200, 0)},
    text_bomb: {UNREADABLE, (200, 0)},
    profile_bomb: {UNREADABLE, (200, 0)},
    bmp_that_lies: {TOO_MANY_PIXELS},
    tiff_that_lies: {TOO_MANY_PIXELS},
    wide_gif: {TOO_MANY_PIXELS, UNREADABLE},
    web_page: {UNREADABLE},
    zip_archive: {UNREADABLE},
}


def kilobytes(name: str) -> int:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(name)).split()[1])


@pytest.fixture
def warm(http: httpx.Client) -> httpx.Client:
    """Whatever the first call sets up is there."""
    assert http.post(REMOVE, files=upload(photo("chelsea"))).status_code == 200
    return http


@pytest.mark.skipif(not PEAK_IS_RESET_BY.exists(), reason="LEFT OUT: only Linux tells a process's peak")
@pytest.mark.parametrize(("make", "answers"), BOMBS.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_bomb_is_refused_without_a_rise_in_memory(
    warm: httpx.Client, make: Callable[[], bytes], answers: set[tuple[int, int]]
) -> None:
    files = upload(make())
    PEAK_IS_RESET_BY.write_text("5")
    before = kilobytes("VmRSS")
    answer = warm.post(REMOVE, files=files)
    rise = kilobytes("VmHWM") - before

    assert (refusal(answer) if answer.status_code != 200 else (200, 0)) in answers
    assert rise < RISE_ALLOWED
    assert warm.post(REMOVE, files=upload(photo("chelsea"))).status_code == 200


def test_the_first_of_ten_thousand_frames_is_enough(warm: httpx.Client) -> None:
    frame = Image.new("P", (16, 16))
    file = io.BytesIO()
    frame.save(file, "GIF")
    one = file.getvalue()
    many = one[:-1] + one[one.index(b",") : -1] * 9_999 + b";"
    assert warm.post(REMOVE, files=upload(many)).status_code == 200


def test_a_picture_that_is_a_page_too_comes_back_as_a_picture_alone(warm: httpx.Client) -> None:
    both = photo("chelsea") + b"<script>alert(1)</script>"
    answer = warm.post(REMOVE, files=upload(both, name="page.html"))
    assert answer.headers["Content-Type"] == "image/png"
    assert b"script" not in answer.content
