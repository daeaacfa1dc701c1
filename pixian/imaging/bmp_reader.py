"""What Pillow's BMP reader leaves out: the ICC profile, which browsers heed."""

import struct
from typing import IO, cast

from PIL import BmpImagePlugin, Image

FILE_HEADER_BYTES = 14
V5_BYTES = 124
EMBEDDED = b"DEBM"  # "MBED", the wrong way round
KIND, PROFILE = slice(56, 60), 112
"""Where a version 5 header has its kind of colours, and offset and size of the profile."""

MAX_PROFILE_BYTES = 4 << 20


class BmpImageFile(BmpImagePlugin.BmpImageFile):
    """A BMP with the profile that lies behind its pixels."""

    def _open(self) -> None:
        super()._open()
        file = cast("IO[bytes]", self.fp)
        file.seek(FILE_HEADER_BYTES)
        header = file.read(V5_BYTES)
        if len(header) == V5_BYTES and header[0] == V5_BYTES and header[KIND] == EMBEDDED:
            offset, size = struct.unpack_from("<II", header, PROFILE)
            file.seek(FILE_HEADER_BYTES + offset)
            self.info["icc_profile"] = file.read(min(size, MAX_PROFILE_BYTES))


def install() -> None:
    """Make Pillow open BMP as described here, in this process."""
    Image.register_open(BmpImageFile.format, BmpImageFile, BmpImagePlugin._accept)
