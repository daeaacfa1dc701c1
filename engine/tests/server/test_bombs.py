"""Hostile files: refused from what their header says, without a rise in memory, and the engine lives on."""

import io
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.types import WSGIApplication

import httpx
import pytest
from PIL import Image

from engine.tests.conftest import KNOWN, REMOVE, auth, photo, refusal, upload
from pixian.tests.imaging.attacks import ATTACKS, TOO_MANY_PIXELS, UNREADABLE
from pixian.tests.imaging.odd_pictures import CUT, ODD, PLAIN

# Pillow warns of damaged metadata and reads on.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

STATUS = Path("/proc/self/status")
PEAK_IS_RESET_BY = Path("/proc/self/clear_refs")
MEGABYTE = 1024  # in the kernel's kB
RISE_ALLOWED = 50 * MEGABYTE
SECONDS_ALLOWED, SECONDS_FOR_OTHERS = 1, 2
ATTACKERS = 3


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


CASES = {make.__name__: (make, answers) for make, answers in BOMBS.items()} | ATTACKS

SOME_ODD = (
    *("text of 2 MB", "wrong checksum of pixels", "JPEG without its end", "short well-known segments"),
    *("GIF without its trailer", "BMP without its last padding", "EXIF that is cut off, in WebP"),
    *("WebP of another length", "TIFF with EXIF in a loop"),
)
"""The others are read by the same function: ``pixian.tests.imaging.test_containers``."""

EXPLANATIONS = {
    "20,000 scans of 1 MP": "more than 100 scans at 1000 × 1000",
    "empty APP segments": "more than 16,384 segments",
    "GIF of small comments": "more than 16,384 blocks",
    "empty private chunks": "more than 16,384 chunks",
    "1 × 32,000,000": "a side can have at most 65,535",
    "32 MP in 34 bytes": "32,000,000 pixels in 14 bytes",
    "TIFF of strips": "more than 65,536 strips or tiles",
}


def kilobytes(name: str) -> int:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(name)).split()[1])


@pytest.fixture(scope="module")
def warm(application: WSGIApplication) -> Iterator[httpx.Client]:
    """Whatever the first call sets up is there, and the engine is alive at the end."""
    transport = httpx.WSGITransport(application)
    with httpx.Client(base_url="http://engine", transport=transport, auth=auth(KNOWN)) as http:
        assert http.post(REMOVE, files=upload(photo("chelsea"))).status_code == 200
        yield http
        assert http.post(REMOVE, files=upload(photo("chelsea"))).status_code == 200


@pytest.mark.skipif(not PEAK_IS_RESET_BY.exists(), reason="LEFT OUT: only Linux tells a process's peak")
@pytest.mark.parametrize(("make", "answers"), CASES.values(), ids=CASES)
def test_a_bomb_is_refused_soon_and_without_a_rise_in_memory(
    warm: httpx.Client, make: Callable[[], bytes], answers: set[tuple[int, int]]
) -> None:
    request = warm.build_request("POST", REMOVE, files=upload(make()))
    request.read()
    PEAK_IS_RESET_BY.write_text("5")
    before, started = kilobytes("VmRSS"), time.process_time()
    answer = warm.send(request)
    seconds, rise = time.process_time() - started, kilobytes("VmHWM") - before

    assert (refusal(answer) if answer.status_code != 200 else (200, 0)) in answers
    assert rise < RISE_ALLOWED
    if answer.status_code != 200:
        assert seconds < SECONDS_ALLOWED


def test_a_refusal_says_how_many_there_are_and_may_be(http: httpx.Client) -> None:
    answers = {
        name: http.post(REMOVE, files=upload(ATTACKS[name][0]())).json()["error"] for name in EXPLANATIONS
    }
    for name, text in EXPLANATIONS.items():
        assert text in answers[name]["message"]


def test_others_are_served_while_bombs_come(warm: httpx.Client) -> None:
    bombs = [upload(make()) for make, answers in ATTACKS.values() if (200, 0) not in answers]
    done, alone = threading.Event(), min(seconds_for_a_photo(warm) for _ in range(3))

    def attack(part: int) -> None:
        while not done.is_set():
            for bomb in bombs[part::ATTACKERS]:
                warm.post(REMOVE, files=bomb)

    with ThreadPoolExecutor(ATTACKERS) as attackers:
        running = [attackers.submit(attack, part) for part in range(ATTACKERS)]
        slowest = max(seconds_for_a_photo(warm) for _ in range(3))
        done.set()
        for attacker in running:
            attacker.result()
    # A busy machine takes its time for anything: then as much as a fair share of it explains.
    assert slowest < max(SECONDS_FOR_OTHERS, 2 * (ATTACKERS + 1) * alone)


def seconds_for_a_photo(http: httpx.Client) -> float:
    started = time.monotonic()
    assert http.post(REMOVE, files=upload(photo("chelsea"))).status_code == 200
    return time.monotonic() - started


@pytest.mark.parametrize("name", SOME_ODD)
def test_an_odd_file_is_cut_out_as_the_plain_one(http: httpx.Client, name: str) -> None:
    plain, make = ODD[name]
    expected = http.post(REMOVE, files=upload(PLAIN[plain]))
    answer = http.post(REMOVE, files=upload(make()))
    assert (answer.status_code, answer.headers["X-Input-Size"]) == (200, expected.headers["X-Input-Size"])
    assert shown(answer) == shown(expected)


@pytest.mark.parametrize("make", CUT.values(), ids=CUT)
def test_half_a_picture_is_never_charged(http: httpx.Client, make: Callable[[], bytes]) -> None:
    assert refusal(http.post(REMOVE, files=upload(make()))) == UNREADABLE


def shown(answer: httpx.Response) -> bytes:
    return Image.open(io.BytesIO(answer.content)).tobytes()


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
