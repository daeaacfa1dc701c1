"""The pipeline of one picture: decode, matte, estimate the foreground, compose, encode and price."""

from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np

from engine.pipeline.foreground_estimation import decontaminate
from engine.pipeline.guided_filter import Bytes
from engine.pipeline.matting import Matting
from engine.pipeline.memory_budget import MemoryBudget
from engine.pipeline.watermark import stamped
from pixian.imaging import delta_png
from pixian.imaging.compose import compose, foreground_box
from pixian.imaging.convert import working_copy
from pixian.imaging.decode import Header, decode, open_picture, shrunk_size
from pixian.imaging.encode import encode
from pixian.imaging.layout import Box, most_pixels
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_UPLOAD_PIXELS
from pixian.protocol.options import Format, Options


@dataclass(frozen=True)
class EncodedResult:
    """An encoded result, its size, and the box of its foreground; None if there is none."""

    content: bytes
    size: Size
    foreground: Box | None


@dataclass(frozen=True)
class CutOut:
    """An encoded result and the facts for its response's headers. Sizes are width and height in pixels.

    input_size: as uploaded, with the orientation applied. foreground: its box in the result; None if there is
    none. orientation: the EXIF value that was applied, 1 to 8. price_microcredits: the price in production.
    charged_microcredits: the price of this call, 0 for a test.
    """

    content: bytes
    content_type: str
    input_size: Size
    result_size: Size
    foreground: Box | None
    orientation: int
    price_microcredits: int
    charged_microcredits: int


class BackgroundRemover:
    """Removes backgrounds with one matting network. Safe to share between threads."""

    def __init__(self, matting: Matting, microcredits_per_megapixel: int, timeout: float) -> None:
        """Set up the remover. timeout: seconds that a call waits for memory."""
        self._matting = matting
        self._rate = microcredits_per_megapixel
        self._memory = MemoryBudget(MAX_UPLOAD_PIXELS, timeout)

    def cut_out(self, file: BinaryIO, options: Options) -> CutOut:
        """Cut out the foreground of the picture in ``file``.

        Raises as ``pixian.imaging.decode`` does for a bad picture, Refused 400/1023 if the result would be
        too large, and ServerFailed 503/-10 if the memory for it doesn't become free in time.
        """
        options = options.effective()
        image, header = open_picture(file)
        with closing(image), self._memory.room_for(_pixels_in_memory(header, options)):
            decode(image)
            copy = working_copy(image, header.orientation, options.max_pixels)
            pixels = copy.pixels
            image.close()
            price = price_microcredits(pixels.shape[0] * pixels.shape[1], self._rate)
            matte = self._matting.matte(pixels)
            # Before the picture's own alpha is applied: its pixels have straight colours, which aren't mixed
            # with any background.
            decontaminate(pixels, matte)
            pixels[..., 3] = cv2.multiply(np.ascontiguousarray(pixels[..., 3]), matte, scale=1 / 255)
            result = _encode_result(pixels, options, copy.profile)
            return CutOut(
                content=result.content,
                content_type=options.content_type,
                input_size=copy.size,
                result_size=result.size,
                foreground=result.foreground,
                orientation=header.orientation,
                price_microcredits=price,
                charged_microcredits=0 if options.test else price,
            )


def price_microcredits(pixels: int, microcredits_per_megapixel: int) -> int:
    """Return the price of a number of pixels, rounded up to a whole micro-credit.

    A client that rounds up its own estimate then never pays more than it expected.
    """
    return -(-pixels * microcredits_per_megapixel // 1_000_000)


def _pixels_in_memory(header: Header, options: Options) -> int:
    """Return the pixels of the picture or of its result, whichever are more.

    Raises Refused 400/1023 if the result is bound to be too large, before any work is done.
    """
    processed_size = shrunk_size(header.width, header.height, options.max_pixels)
    return max(header.pixels, most_pixels(processed_size, options))


def _encode_result(pixels: Bytes, options: Options, profile: bytes | None) -> EncodedResult:
    """Compose and encode a cut-out, RGBA with all its colours under alpha 0; ``pixels`` is overwritten."""
    if options.output_format is Format.DELTA_PNG:
        # Thanks to those colours, the cut-out is also the original that the delta refers to.
        cut_out = stamped(pixels) if options.test else pixels
        content = delta_png.encode(pixels, cut_out, profile, test=options.test)
        return EncodedResult(content, (pixels.shape[1], pixels.shape[0]), foreground_box(pixels))
    composed = compose(pixels, options, profile)
    # Last, so that neither a crop nor a fill colour removes the watermark.
    result = stamped(composed.pixels) if options.test else composed.pixels
    size = result.shape[1], result.shape[0]
    return EncodedResult(encode(result, options, profile), size, composed.foreground)
