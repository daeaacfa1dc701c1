"""A PNG plug-in for Pillow that reads colours, transparency and metadata as browsers do."""

from typing import IO, cast

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin

ONCE = (b"PLTE", b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf")
CICP_BYTES = 4
PALETTE_BYTES = 256 * 3
GREY_SCALE = {"1": 255, "L;2": 85, "L;4": 17, "L": 1}
"""Factors by which Pillow scales grey levels to 8 bits, by raw mode."""

RGB_OF_16_BITS, ITS_LOWER_HALVES = "RGB;16B", "RGB;16L"
"""Raw modes that read the upper byte of each big-endian sample, and the lower one."""

STRIP_ROWS = 128
TRANSPARENCY_BYTES = 6  # per pixel: the lower halves of a 16-bit picture, and its alpha


class PngStream(PngImagePlugin.PngStream):
    """A chunk reader that honours only the first chunk of each kind, and only before the pixels."""

    def __init__(self, fp: IO[bytes]) -> None:
        super().__init__(fp)
        self._seen: set[bytes] = set()

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        """Process a chunk, or skip it if browsers do; Pillow would honour the last one, even if too late."""
        if cid in ONCE and (cid in self._seen or self.im_tile):
            return self._content(length)
        self._seen.add(cid)
        content: bytes = super().call(cid, pos, length)
        return content

    def chunk_IHDR(self, pos: int, length: int) -> bytes:  # noqa: N802
        """Record that the picture is grey if it has 16 bits and alpha, which Pillow turns into RGBA."""
        content = super().chunk_IHDR(pos, length)
        if self.im_rawmode == "LA;16B":
            self.im_info["is_grey"] = True
        return content

    def chunk_cICP(self, pos: int, length: int) -> bytes:  # noqa: ARG002, N802
        """Keep the coding-independent code points, which must come before the palette."""
        content = self._content(length)
        if length == CICP_BYTES and self.im_palette is None:
            self.im_info["cicp"] = content
        return content

    def chunk_eXIf(self, pos: int, length: int) -> bytes:  # noqa: ARG002, N802
        """Keep the EXIF block."""
        content = self.im_info["eXIf"] = self._content(length)
        return content

    def chunk_tEXt(self, pos: int, length: int) -> bytes:  # noqa: ARG002, N802
        """Skip texts: they aren't needed, and Pillow would let them overwrite the values of other chunks."""
        return self._content(length)

    chunk_zTXt = chunk_iTXt = chunk_tEXt  # noqa: N815

    def _content(self, length: int) -> bytes:
        return ImageFile._safe_read(cast("IO[bytes]", self.fp), length)

    def chunk_PLTE(self, pos: int, length: int) -> bytes:  # noqa: N802
        """Extend the palette with its last colour, as browsers do; Pillow would extend it with greys."""
        content = super().chunk_PLTE(pos, length)
        if self.im_palette and len(content) >= 3:
            missing = (PALETTE_BYTES - len(content)) // 3
            self.im_palette = "RGB", content + content[-3:] * missing
        return content

    def chunk_tRNS(self, pos: int, length: int) -> bytes:  # noqa: N802
        """Scale the transparent colour as Pillow scales the pixels."""
        content = super().chunk_tRNS(pos, length)
        level = self.im_info.get("transparency")
        if self.im_rawmode in GREY_SCALE and isinstance(level, int):
            scale = GREY_SCALE[self.im_rawmode]
            # Bits beyond the depth must be ignored. Source: PNG specification, § 11.3.1.1.
            mask = 255 // scale
            self.im_info["transparency"] = (int.from_bytes(content[:2]) & mask) * scale
        if self.im_rawmode == "RGB" and isinstance(level, tuple):
            self.im_info["transparency"] = tuple(part & 255 for part in level)
        return content


class PngImageFile(PngImagePlugin.PngImageFile):
    """A PNG whose transparent colour is compared in all its 16 bits."""

    @property
    def correction_bytes(self) -> int:
        """Return the memory per pixel that ``load_end`` takes beside the picture."""
        return TRANSPARENCY_BYTES if self._has_wide_transparency else 0

    @property
    def _has_wide_transparency(self) -> bool:
        is_wide = self.png is not None and self.png.im_rawmode == RGB_OF_16_BITS
        return is_wide and isinstance(self.info.get("transparency"), tuple)

    def load_end(self) -> None:
        """Apply the transparent colour of a 16-bit RGB picture."""
        is_corrected = self._has_wide_transparency
        super().load_end()
        if is_corrected:
            self._make_transparent(self.info.pop("transparency"))

    def _make_transparent(self, color: tuple[int, int, int]) -> None:
        """Set alpha to 0 where the samples equal ``color``, 16 bits each.

        Pillow keeps only the upper byte of each sample, so the lower bytes are decoded here once more.
        """
        file = cast("IO[bytes]", self.fp)
        file.seek(0)
        lower = PngImageFile(file)
        lower.info.pop("transparency", None)
        lower.tile = [lower.tile[0]._replace(args=ITS_LOWER_HALVES)]
        lower.load()
        halves = [(self, [part >> 8 for part in color]), (lower, [part & 255 for part in color])]
        alpha = np.empty((self.height, self.width), np.uint8)
        for top in range(0, self.height, STRIP_ROWS):
            box = (0, top, self.width, min(top + STRIP_ROWS, self.height))
            same = [(np.asarray(half.crop(box)) == part).all(axis=2) for half, part in halves]
            alpha[box[1] : box[3]] = np.where(same[0] & same[1], 0, 255)
        self.putalpha(Image.fromarray(alpha))


def install() -> None:
    """Register this plug-in with Pillow, for the whole process."""
    PngImagePlugin.PngStream = PngStream  # type: ignore[misc]
    Image.register_open(PngImageFile.format, PngImageFile, PngImagePlugin._accept)
