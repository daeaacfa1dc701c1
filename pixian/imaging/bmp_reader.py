"""A BMP plug-in for Pillow that reads the embedded ICC profile, as browsers do."""

import struct
from typing import IO, cast

from PIL import BmpImagePlugin, Image

FILE_HEADER_BYTES = 14
V5_BYTES = 124
EMBEDDED = b"DEBM"  # "MBED" as a little-endian number
KIND, PROFILE = slice(56, 60), 112
"""Positions in a version 5 header of the colour space type, and of the profile's offset and size."""

MAX_PROFILE_BYTES = 4 << 20


class BmpImageFile(BmpImagePlugin.BmpImageFile):
    """A BMP with its embedded profile."""

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
    """Register this plug-in with Pillow, for the whole process."""
    Image.register_open(BmpImageFile.format, BmpImageFile, BmpImagePlugin._accept)
