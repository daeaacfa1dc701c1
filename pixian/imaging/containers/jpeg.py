"""JPEG: keeps the segments up to the last scan, and counts the scans. Source: ITU T.81, annex B."""

import random
import re
from dataclasses import dataclass, field

from pixian.imaging.containers.container import MAX_METADATA_BYTES, Container, Counter, is_exif, splice
from pixian.imaging.spliced_file import Piece, SourceFile
from pixian.protocol import errors

MAX_SCANS = 100
MAX_SCAN_PIXELS = 640_000_000
"""Limit on scans × pixels: decoding a scan visits every block, however few bytes it has. Progressive encoders
write 5 to 20 scans, so 32 megapixels can have 20; smaller pictures can have more, up to ``MAX_SCANS``."""

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
START, END, SCAN = 0xD8, 0xD9, 0xDA
SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), (0xC2,)
# Lossless, hierarchical and arithmetic-coded JPEGs. No browser shows them, and arithmetic coding takes ten
# times as long to decode.
OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
TABLES = (0xC4, 0xDB, 0xDD)
STANDALONE = (0x01, *range(0xD0, 0xD8))

# Everything up to a marker and the marker itself. Possessive, so that no run of fill bytes (0xFF, any number
# of which may precede a marker) is searched again from each of its bytes.
MARKER = re.compile(rb"(?:\xff++\x00|[^\xff]++)*+\xff++[^\x00\xff]")
SCAN_END = re.compile(rb"(?:\xff++[\x00\xd0-\xd7]|[^\xff]++)*+\xff++[^\x00\xff\xd0-\xd7]")

EXIF, PROFILE = b"Exif\0", b"ICC_PROFILE\0"
EXIF_HEAD_BYTES = len(EXIF) + 1  # a second NUL, instead of which some programs write something else
PROFILE_HEAD_BYTES = len(PROFILE) + 2  # the piece's number and the number of pieces
ALL_COEFFICIENTS = (1 << 64) - 1
COEFFICIENT_BYTES = 2
FILLER_BYTES = 4096


@dataclass
class Survey:
    """The parts of a JPEG that have been parsed so far."""

    source: SourceFile
    pieces: list[Piece] = field(default_factory=lambda: [SOI])
    size: tuple[int, int] = (0, 0)
    progressive: bool = False
    interleaved: bool = False  # the first scan has all components
    components: list[int] = field(default_factory=list)
    final: dict[int, int] = field(default_factory=dict)  # component → bit set of its complete coefficients
    has_exif: bool = False
    metadata_bytes: int = 0
    data_bytes: int = 0
    scans: int = 0
    ended: bool = False

    @property
    def scan_pixels(self) -> int:
        return self.scans * self.size[0] * self.size[1]

    @property
    def buffer_bytes(self) -> int:
        """Return the memory for all coefficients, which a decoder keeps unless one scan has them all."""
        if self.interleaved and not self.progressive:
            return 0
        return COEFFICIENT_BYTES * len(self.components) * self.size[0] * self.size[1]

    @property
    def is_complete(self) -> bool:
        """Return True if the scans contain every coefficient to its last bit."""
        return all(self.final.get(component) == ALL_COEFFICIENTS for component in self.components)


def parse(source: SourceFile) -> Container:
    """Parse up to the last scan; raise Refused 400/1006 if there is no frame or no scan, and TooComplex."""
    seen = survey(source)
    if not seen.scans or not (seen.ended or seen.is_complete):
        raise errors.unreadable_picture()
    content = splice(source, [*seen.pieces, EOI])
    # Without an end marker the last scan may be cut off. Then the decoder makes pixels of whatever follows,
    # so they change if noise follows; those of a complete scan don't.
    other = None if seen.ended else splice(source, [*seen.pieces, NOISE, EOI])
    return Container("JPEG", *seen.size, seen.data_bytes, content, other, buffer_bytes=seen.buffer_bytes)


def survey(source: SourceFile, counter: Counter | None = None) -> Survey:
    """Parse the segments up to the end of the image; raise as ``parse`` does.

    counter: counts the segments; by default those of this image alone.
    """
    seen = Survey(source)
    position, counter = len(SOI), counter or Counter("segments")
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


def _segment(seen: Survey, kind: int, start: int) -> int:
    """Process one segment and return the position from which to look for the next one."""
    end = start + 2 + max(2, int.from_bytes(seen.source.at(start + 2, 2)))
    if end > seen.source.size:
        return end
    if kind == SCAN:
        return _scan(seen, start, end)
    if kind in OTHER_FRAMES:
        raise errors.too_complex("is a JPEG of a type that browsers don't support either")
    if kind in SEQUENTIAL + PROGRESSIVE:
        _frame(seen, kind, seen.source.at(start + 4, end - start - 4))
    if kind in TABLES or kind in SEQUENTIAL + PROGRESSIVE or _is_needed(seen, kind, start, end):
        seen.pieces.append((start, end))
    return end


def _frame(seen: Survey, kind: int, data: bytes) -> None:
    """Read the size and the components from a frame header."""
    if seen.components or len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise errors.unreadable_picture()
    seen.size = int.from_bytes(data[3:5]), int.from_bytes(data[1:3])
    seen.progressive = kind in PROGRESSIVE
    seen.components = [data[6 + 3 * index] for index in range(data[5])]


def _scan(seen: Survey, start: int, end: int) -> int:
    """Count a scan and record the coefficients that it completes; return the position of its end."""
    head = seen.source.at(start + 4, end - start - 4)
    if not head or len(head) < 4 + 2 * head[0] or not seen.components:
        raise errors.unreadable_picture()
    seen.interleaved |= not seen.scans and head[0] == len(seen.components)
    seen.scans += 1
    width, height = seen.size
    allowed = min(MAX_SCANS, max(1, MAX_SCAN_PIXELS // max(1, width * height)))
    if seen.scans > allowed:
        raise errors.too_complex(f"has more than {allowed} scans at {width} × {height}")
    # The scan header ends with the range of coefficients, and with the bits that are refined: the lower half
    # of the last byte is 0 if the scan brings the last bit.
    first, last, precision = head[1 + 2 * head[0] :][:3]
    if not seen.progressive:
        first, last, precision = 0, 63, 0
    if precision & 15 == 0:
        for component in head[1 : 1 + 2 * head[0] : 2]:
            bits = (1 << min(last, 63) + 1) - (1 << min(first, 63))
            seen.final[component] = seen.final.get(component, 0) | max(bits, 0)
    stop = seen.source.find(SCAN_END, end)
    if stop == seen.source.size and seen.source.at(stop - 1, 1) == b"\xff":
        stop -= 1  # the file ends within a marker
    seen.pieces.append((start, stop))
    seen.data_bytes += stop - end
    return stop


def _is_needed(seen: Survey, kind: int, start: int, end: int) -> bool:
    """Return True if the segment describes colours or orientation, and comes before the pixels."""
    size = end - start - 4
    if seen.scans or kind not in METADATA or seen.metadata_bytes + size > MAX_METADATA_BYTES:
        return False
    is_needed = METADATA[kind](seen, seen.source.at(start + 4, min(PROFILE_HEAD_BYTES, size)), size)
    seen.metadata_bytes += size * is_needed
    return is_needed


def _is_jfif(_seen: Survey, head: bytes, size: int) -> bool:
    return head.startswith(b"JFIF\0") and size >= 14


def _is_adobe(_seen: Survey, head: bytes, size: int) -> bool:
    return head.startswith(b"Adobe") and size >= 12


def _is_exif(seen: Survey, head: bytes, size: int) -> bool:
    """Return True for the first segment with this prefix, as browsers look at no other, if it holds EXIF."""
    if seen.has_exif or not head.startswith(EXIF) or size <= EXIF_HEAD_BYTES:
        return False
    seen.has_exif = True
    return is_exif(head[EXIF_HEAD_BYTES:])


def _is_profile(_seen: Survey, head: bytes, size: int) -> bool:
    return head.startswith(PROFILE) and size > PROFILE_HEAD_BYTES


METADATA = {0xE0: _is_jfif, 0xE1: _is_exif, 0xE2: _is_profile, 0xEE: _is_adobe}


def _noise() -> bytes:
    """Return bytes that continue any scan, with restart markers, but not in any sensible way."""
    generator = random.Random(0)  # noqa: S311 - seeded, so that the noise is the same each time
    filler = generator.randbytes(FILLER_BYTES).replace(b"\xff", b"\xa5")
    return filler + b"".join(b"\xff" + bytes([0xD0 + number]) + filler for number in range(8)) * 2


NOISE = _noise()
