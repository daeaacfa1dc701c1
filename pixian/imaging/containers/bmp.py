"""BMP: parses the header, and adds the padding of the last row, which some programs omit."""

import struct

from pixian.imaging.containers.container import Container, splice
from pixian.imaging.spliced_file import SourceFile
from pixian.protocol import errors

FILE_HEAD_BYTES = 14
CORE_BYTES = 12
HEADER_BYTES = (CORE_BYTES, 40, 52, 56, 64, 108, 124)
RUN_LENGTH = (1, 2)
MAX_RUNS_BYTES = 1 << 20
"""Limit on run-length coded data, which Pillow decodes in Python; this much takes 0.5 s."""


def parse(source: SourceFile) -> Container:
    """Parse the header; raise Refused 400/1006 for one of unknown size, and TooComplex."""
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
            f"has {data_bytes:,} bytes of run-length coded data; the limit is {MAX_RUNS_BYTES:,}"
        )
    # A row ends at a multiple of four bytes.
    row_bytes = -(-width * bits // 8)
    padding = 0 if compression in RUN_LENGTH else -row_bytes % 4
    content = splice(source, [(0, source.size), bytes(padding)])
    return Container("BMP", width, height, data_bytes, content)
