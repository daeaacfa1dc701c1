"""JPEG: its segments up to the last scan, each scan counted. Source: ITU T.81, annex B."""

import random
import re
from dataclasses import dataclass, field

from pixian.imaging.containers.walk import MAX_METADATA_BYTES, Container, Counter, is_exif, spliced
from pixian.imaging.splice import Piece, Source
from pixian.protocol import errors

MAX_SCANS = 100
MAX_SCAN_PIXELS = 640_000_000
"""Scans × pixels: each scan visits all blocks, however few bytes it has. Progressive encoders write 5 to 20
scans, so that 32 megapixels may have 20; small pictures may have up to ``MAX_SCANS``."""

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
START, END, SCAN = 0xD8, 0xD9, 0xDA
SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), (0xC2,)
# Arithmetic coding, lossless and hierarchical modes: no browser shows them, and the first takes ten times
# as long to decode.
OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
TABLES = (0xC4, 0xDB, 0xDD)
STANDALONE = (0x01, *range(0xD0, 0xD8))

MARKER = re.compile(rb"\xff[^\x00\xff]")
SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

EXIF, PROFILE = b"Exif\0", b"ICC_PROFILE\0"
EXIF_HEAD_BYTES = len(EXIF) + 1  # a second NUL, for which some programs write something else
PROFILE_HEAD_BYTES = len(PROFILE) + 2  # number and count
ALL_COEFFICIENTS = (1 << 64) - 1
FILLER_BYTES = 4096


@dataclass
class Walk:
    """What has been seen of one file so far."""

    source: Source
    pieces: list[Piece] = field(default_factory=lambda: [SOI])
    size: tuple[int, int] = (0, 0)
    progressive: bool = False
    components: list[int] = field(default_factory=list)
    final: dict[int, int] = field(default_factory=dict)  # component → bits of the coefficients that are exact
    has_exif: bool = False
    metadata_bytes: int = 0
    data_bytes: int = 0
    scans: int = 0
    ended: bool = False

    @property
    def scan_pixels(self) -> int:
        return self.scans * self.size[0] * self.size[1]

    @property
    def is_complete(self) -> bool:
        """If the scans carry every coefficient to its last bit."""
        return all(self.final.get(component) == ALL_COEFFICIENTS for component in self.components)


def walk(source: Source) -> Container:
    """Raises Refused 400/1006 if there is no frame or no scan, and TooComplex."""
    seen = survey(source)
    ended = seen.ended
    if not seen.scans or not (ended or seen.is_complete):
        raise errors.unreadable_picture()
    found = (*seen.size, seen.data_bytes)
    if ended:
        return Container("JPEG", *found, spliced(source, [*seen.pieces, EOI]))
    # A picture that is whole doesn't depend on what follows, be it the end or noise.
    other = spliced(source, [*seen.pieces, NOISE, EOI])
    return Container("JPEG", *found, spliced(source, [*seen.pieces, EOI]), other)


def survey(source: Source) -> Walk:
    """Walk up to the end of the image; raises as ``walk`` does."""
    seen = Walk(source)
    position, counter = len(SOI), Counter("segments")
    while (at := source.find(MARKER, position)) < source.size:
        counter.add()
        kind = source.at(at + 1, 1)[0]
        if kind == END:
            seen.ended = True
            break
        if kind == START:
            raise errors.unreadable_picture()
        position = at + 2 if kind in STANDALONE else _segment(seen, kind, at)
        if position > source.size:
            break
    return seen


def _segment(seen: Walk, kind: int, start: int) -> int:
    """Take in one segment; return where the next may begin."""
    end = start + 2 + max(2, int.from_bytes(seen.source.at(start + 2, 2)))
    if end > seen.source.size:
        return end
    if kind == SCAN:
        return _scan(seen, start, end)
    if kind in OTHER_FRAMES:
        raise errors.too_complex("is a JPEG of a kind that browsers don't read either")
    if kind in SEQUENTIAL + PROGRESSIVE:
        _frame(seen, kind, seen.source.at(start + 4, end - start - 4))
    if kind in TABLES or kind in SEQUENTIAL + PROGRESSIVE or _is_wanted(seen, kind, start, end):
        seen.pieces.append((start, end))
    return end


def _frame(seen: Walk, kind: int, data: bytes) -> None:
    if seen.components or len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise errors.unreadable_picture()
    seen.size = int.from_bytes(data[3:5]), int.from_bytes(data[1:3])
    seen.progressive = kind in PROGRESSIVE
    seen.components = [data[6 + 3 * index] for index in range(data[5])]


def _scan(seen: Walk, start: int, end: int) -> int:
    """Count a scan, and note which coefficients it completes."""
    head = seen.source.at(start + 4, end - start - 4)
    if not head or len(head) < 4 + 2 * head[0] or not seen.components:
        raise errors.unreadable_picture()
    seen.scans += 1
    width, height = seen.size
    allowed = min(MAX_SCANS, max(1, MAX_SCAN_PIXELS // max(1, width * height)))
    if seen.scans > allowed:
        raise errors.too_complex(f"has more than {allowed} scans at {width} × {height}")
    first, last, precision = head[1 + 2 * head[0] :][:3]
    if not seen.progressive:
        first, last, precision = 0, 63, 0
    if precision & 15 == 0:
        for component in head[1 : 1 + 2 * head[0] : 2]:
            bits = (1 << min(last, 63) + 1) - (1 << min(first, 63))
            seen.final[component] = seen.final.get(component, 0) | max(bits, 0)
    stop = seen.source.find(SCAN_END, end)
    if stop == seen.source.size and seen.source.at(stop - 1, 1) == b"\xff":
        stop -= 1  # half a marker
    seen.pieces.append((start, stop))
    seen.data_bytes += stop - end
    return stop


def _is_wanted(seen: Walk, kind: int, start: int, end: int) -> bool:
    """Return if the segment tells colours or orientation, and comes before the pixels."""
    size = end - start - 4
    if seen.scans or kind not in WANTED or seen.metadata_bytes + size > MAX_METADATA_BYTES:
        return False
    is_wanted = WANTED[kind](seen, seen.source.at(start + 4, min(PROFILE_HEAD_BYTES, size)), size)
    seen.metadata_bytes += size * is_wanted
    return is_wanted


def _is_jfif(_seen: Walk, head: bytes, size: int) -> bool:
    return head.startswith(b"JFIF\0") and size >= 14


def _is_adobe(_seen: Walk, head: bytes, size: int) -> bool:
    return head.startswith(b"Adobe") and size >= 12


def _is_exif(seen: Walk, head: bytes, size: int) -> bool:
    """The first one decides, as in browsers, even if it is no EXIF."""
    if seen.has_exif or not head.startswith(EXIF) or size <= EXIF_HEAD_BYTES:
        return False
    seen.has_exif = True
    return is_exif(head[EXIF_HEAD_BYTES:])


def _is_profile(_seen: Walk, head: bytes, size: int) -> bool:
    return head.startswith(PROFILE) and size > PROFILE_HEAD_BYTES


WANTED = {0xE0: _is_jfif, 0xE1: _is_exif, 0xE2: _is_profile, 0xEE: _is_adobe}


def _noise() -> bytes:
    """Bytes that go on with any scan, restarts included, and with nothing that a picture would."""
    made = random.Random(0)  # noqa: S311 - the same each time
    filler = made.randbytes(FILLER_BYTES).replace(b"\xff", b"\xa5")
    return filler + b"".join(b"\xff" + bytes([0xD0 + number]) + filler for number in range(8)) * 2


NOISE = _noise()
