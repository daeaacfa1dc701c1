"""BMP: its header, and the padding behind its last row, which some programs leave out."""

import struct

from pixian.imaging.containers.walk import Container, spliced
from pixian.imaging.splice import Source
from pixian.protocol import errors

FILE_HEAD_BYTES = 14
CORE_BYTES = 12
HEADER_BYTES = (CORE_BYTES, 40, 52, 56, 64, 108, 124)
RUN_LENGTH = (1, 2)
MAX_RUNS_BYTES = 1 << 20
"""Of run-length coding, which Pillow decodes in Python: 0.5 s."""


def walk(source: Source) -> Container:
    """Raises Refused 400/1006 for a header of an unknown kind, and TooComplex."""
    head = source.at(0, FILE_HEAD_BYTES + 40).ljust(FILE_HEAD_BYTES + 40, b"\0")
    offset, size = struct.unpack("<II", head[10:18])
    if size not in HEADER_BYTES:
        raise errors.unreadable_picture()
    if size == CORE_BYTES:
        width, height, _planes, bits = struct.unpack("<HHHH", head[18:26])
        compression = 0
    else:
        width, height, _planes, bits, compression = struct.unpack("<iiHHI", head[18:34])
    width, height = abs(width), abs(height)
    data_bytes = max(0, source.size - offset)
    if compression in RUN_LENGTH and data_bytes > MAX_RUNS_BYTES:
        raise errors.too_complex(
            f"has {data_bytes:,} bytes of run-length coding, and {MAX_RUNS_BYTES:,} are allowed"
        )
    padding = 0 if compression in RUN_LENGTH else _padding(width * bits)
    content = spliced(source, [(0, source.size), bytes(padding)])
    return Container("BMP", width, height, data_bytes, content)


def _padding(bits: int) -> int:
    """Bytes after a row of so many bits, which ends at a multiple of four bytes."""
    return -(-bits // 8) % -4 * -1
