"""A TIFF plug-in for Pillow, for layouts that Pillow rejects or reads differently from the specification."""

import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile, ImagePalette, TiffImagePlugin

WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE, INK, YCBCR, LAB, ICC_LAB = 0, 1, 3, 5, 6, 8, 9
PLANES = 2
REVERSED_BITS = 2
PREMULTIPLIED, STRAIGHT = 1, 2  # meanings of an extra sample

CORRECTION_BYTES = 8
"""Per pixel: the most memory that copies took while samples were corrected, beside the picture."""

Layout = tuple[bytes, int, tuple[int, ...], int, tuple[int, ...], tuple[int, ...]]
"""Byte order, photometric interpretation, sample format, bit order, bits of each sample, extra samples."""


class TiffImageFile(TiffImagePlugin.TiffImageFile):
    """A TIFF with correctly read samples, in a mode that Pillow converts correctly.

    It keeps its stored orientation: ``pixian.imaging.orientation`` turns pictures of all formats.
    """

    def _setup(self) -> None:
        super()._setup()
        self._size = self._tile_size
        if self.mode in ("LA", "La") and self._planar_configuration == PLANES:
            # Pillow would leave alpha at 0, so that the whole picture would be transparent.
            raise SyntaxError("Grey and alpha in separate planes can't be read")
        if not self.use_load_libtiff and self._needs_libtiff():
            self._read_with_libtiff()
        colors = self.tag_v2.get(TiffImagePlugin.COLORMAP, ())
        if self.mode == "P" and max(colors) < 256:
            # A colour map has 16-bit values. One without any above 255 was written by a program that used 8
            # bits; libtiff makes the same assumption.
            self.palette = ImagePalette.raw("RGB;L", bytes(colors))

    @property
    def correction_bytes(self) -> int:
        """Return the memory per pixel that ``load_end`` takes beside the picture."""
        is_corrected = (
            self._is_packed or self._is_other_lab or self._is_wide_grey_and_alpha() or self._is_inverted
        )
        return CORRECTION_BYTES if is_corrected or self.mode == "La" else 0

    def load_end(self) -> None:
        """Correct the decoded samples."""
        if not self.is_animated:
            self._close_exclusive_fp_after_loading = True
        corrected = self._corrected()
        if corrected is not self:
            self.im, self._mode = corrected.im, corrected.mode

    @property
    def _photometric(self) -> int:
        value = self.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, WHITE_IS_ZERO)
        return value if isinstance(value, int) else WHITE_IS_ZERO

    @property
    def _bits(self) -> int:
        return int(max(self.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))

    @property
    def _extra(self) -> int:
        return int(self.tag_v2.get(TiffImagePlugin.EXTRASAMPLES, (0,))[0])

    def _needs_libtiff(self) -> bool:
        """Return True if Pillow's own reader of uncompressed files would misread this one.

        It mixes up the planes of most modes, doesn't reverse the bits of wide samples, and doesn't know
        subsampling. libtiff isn't used for every file, since it keeps a whole strip in memory, which may be
        as large as the picture.
        """
        is_wide = self._bits > 8
        reversed_bits = self.tag_v2.get(TiffImagePlugin.FILLORDER) == REVERSED_BITS
        in_planes = self._planar_configuration == PLANES and self.mode not in ("1", "L", "P")
        unknown = in_planes or self._photometric == YCBCR
        return unknown or (is_wide and (reversed_bits or self._is_wide_grey_and_alpha()))

    def _read_with_libtiff(self) -> None:
        rawmode = self.mode
        if self._photometric == YCBCR:
            self._mode, rawmode = "RGB", "RGBX"
        elif self.mode.startswith("I;16"):
            self._mode, rawmode = "I;16", "I;16N"
        elif self._bits > 8 and not self._is_wide_grey_and_alpha():
            rawmode = f"{self.mode};16N"
        self.use_load_libtiff = True
        args = (rawmode, False, self.tag_v2.offset)
        self.tile = [ImageFile._Tile("libtiff", (0, 0, *self._tile_size), 0, args)]

    def _is_wide_grey_and_alpha(self) -> bool:
        """Return True for 16-bit grey with alpha: Pillow has no mode for it, so it is read as RGBA bytes."""
        return self._photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and self.mode == "RGBA"

    @property
    def _is_packed(self) -> bool:
        return self.mode.startswith("I;16") and self._bits == 12

    @property
    def _is_other_lab(self) -> bool:
        return self._photometric in (LAB, ICC_LAB) and self.mode == "RGB"

    @property
    def _is_inverted(self) -> bool:
        """Return True if white is zero, in a mode that Pillow doesn't invert."""
        is_unknown = self.mode.startswith("I;16") or self.mode == "F"
        has_two = self.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL) == 2
        return self._photometric == WHITE_IS_ZERO and (is_unknown or has_two)

    def _corrected(self) -> Image.Image:
        if self._is_packed:
            return Image.fromarray(np.asarray(self) << 4)
        if self._is_other_lab:
            return self._lab()
        image: Image.Image = self
        if self._is_wide_grey_and_alpha():
            image = self._grey_and_alpha()
        if image.mode == "La":
            image = image.convert("LA")
        return self._negative(image) if self._is_inverted else image

    def _grey_and_alpha(self) -> Image.Image:
        """Return the upper bytes of grey and alpha, which libtiff stores in the machine's byte order."""
        bands = self.split()[1::2] if sys.byteorder == "little" else self.split()[::2]
        modes = {PREMULTIPLIED: "La", STRAIGHT: "LA"}
        return Image.merge(modes[self._extra], bands) if self._extra in modes else bands[0]

    def _lab(self) -> Image.Image:
        """Return the picture in Pillow's Lab: a and b are offset by 128, as in ICC Lab but not in CIE Lab."""
        light, *colors = self.split()
        if self._photometric == LAB:
            colors = [band.point([level ^ 128 for level in range(256)]) for band in colors]
        return Image.merge("LAB", (light, *colors))

    def _negative(self, image: Image.Image) -> Image.Image:
        """Invert a picture in which white is zero."""
        if image.mode.startswith("I;16"):
            return Image.fromarray(np.uint16(65535) - np.asarray(image, np.uint16))
        if image.mode == "F":
            return Image.fromarray(-np.asarray(image))
        alpha_stays = list(range(256)) if image.mode == "LA" else []
        return image.point([*range(255, -1, -1), *alpha_stays])


def _layouts() -> Iterator[tuple[Layout, tuple[str, str]]]:
    """Yield layouts that Pillow's table lacks, each with the mode and raw mode to read it in."""
    for order, wide in ((b"II", "L"), (b"MM", "B")):
        grey16 = "I;16" if wide == "L" else "I;16B"
        for bits in (1, REVERSED_BITS):
            for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
                yield (order, photometric, (1,), bits, (16,), ()), (grey16, grey16)
        for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            for extra, mode, raw in (
                ((), "L", "LX"),
                ((0,), "L", "LX"),
                ((1,), "La", "La"),
                ((2,), "LA", "LA"),
            ):
                yield (order, photometric, (1,), 1, (8, 8), extra), (mode, raw)
                yield (order, photometric, (1,), 1, (16, 16), extra), ("RGBA", "RGBA")
        # Alpha of a CMYK picture is ignored, as in libtiff.
        for extra in ((), (PREMULTIPLIED,), (STRAIGHT,)):
            yield (order, INK, (1,), 1, (8,) * 5, extra), ("CMYK", "CMYKX")
        yield (order, LAB, (1,), 1, (16,) * 3, ()), ("RGB", f"RGB;16{wide}")
        yield (order, ICC_LAB, (1,), 1, (8,) * 3, ()), ("RGB", "RGB")
        yield (order, BLACK_IS_ZERO, (1,), 1, (12,), ()), ("I;16", "I;12")
    yield (b"MM", BLACK_IS_ZERO, (1,), 1, (32,), ()), ("I", "I;32B")


def install() -> None:
    """Register this plug-in with Pillow, for the whole process."""
    for layout, modes in _layouts():
        TiffImagePlugin.OPEN_INFO.setdefault(layout, modes)  # type: ignore[arg-type]
    Image.register_open(TiffImageFile.format, TiffImageFile, TiffImagePlugin._accept)
