"""One picture's way: decoded, upright, shrunk, matted, its edges cleared, composed, encoded, priced."""

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
class Finished:
    """A picture in the format that was asked for, its size, and the box of the foreground in it; None where
    there is none."""

    content: bytes
    size: Size
    foreground: Box | None


@dataclass(frozen=True)
class CutOut:
    """A finished picture, and what is told about it. Sizes are width and height in pixels.

    input_size: as uploaded, orientation applied. orientation: the EXIF value that was applied, 1 to 8.
    price_microcredits: what it costs in production; charged_microcredits: what this call costs.
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
    """Makes cut-outs. Safe to share between threads."""

    def __init__(self, matter: Matting, microcredits_per_megapixel: int, timeout: float) -> None:
        self._matter = matter
        self._rate = microcredits_per_megapixel
        self._desk = MemoryBudget(MAX_UPLOAD_PIXELS, timeout)

    def cut_out(self, file: BinaryIO, options: Options) -> CutOut:
        """The foreground of the picture in ``file``; raises what pixian.imaging.decode raises for a bad one,
        Refused 400/1023 where the result would be too large, and ServerFailed 503/-10 where its turn
        doesn't come in time."""
        options = options.heeded()
        image, header = open_picture(file)
        with closing(image), self._desk.room_for(_pixels_at_work(header, options)):
            decode(image)
            copy = working_copy(image, header.orientation, options.max_pixels)
            pixels = copy.pixels
            image.close()
            price = price_microcredits(pixels.shape[0] * pixels.shape[1], self._rate)
            matte = self._matter.matte(pixels)
            # Before the picture's own alpha comes in, whose colours are straight and not mixed.
            decontaminate(pixels, matte)
            _lay_under(matte, pixels)
            made = _finished(pixels, options, copy.profile)
            return CutOut(
                content=made.content,
                content_type=options.content_type,
                input_size=copy.size,
                result_size=made.size,
                foreground=made.foreground,
                orientation=header.orientation,
                price_microcredits=price,
                charged_microcredits=0 if options.test else price,
            )


def price_microcredits(pixels: int, microcredits_per_megapixel: int) -> int:
    """Price by the megapixel, begun micro-credits counted whole, so that a client who rounds up its
    estimate is never surprised."""
    return -(-pixels * microcredits_per_megapixel // 1_000_000)


def _pixels_at_work(header: Header, options: Options) -> int:
    """The larger of the picture and its result; raises Refused 400/1023 before any work is done on one
    that must come out too large."""
    worked_on = shrunk_size(header.width, header.height, options.max_pixels)
    return max(header.pixels, most_pixels(worked_on, options))


def _lay_under(matte: Bytes, pixels: Bytes) -> None:
    """The matte becomes the picture's alpha, multiplied with its own; in place."""
    pixels[..., 3] = cv2.multiply(np.ascontiguousarray(pixels[..., 3]), matte, scale=1 / 255)


def _finished(pixels: Bytes, options: Options, profile: bytes | None) -> Finished:
    """The picture as the options ask for it, out of a cut-out that is used up. It still has its colours
    under alpha 0, which make it the original that a delta PNG refers to."""
    if options.output_format is Format.DELTA_PNG:
        return _delta(pixels, options, profile)
    composed = compose(pixels, options, profile)
    # Last, so that neither a crop nor a colour takes the mark away.
    result = stamped(composed.pixels) if options.test else composed.pixels
    size = result.shape[1], result.shape[0]
    return Finished(encode(result, options, profile), size, composed.foreground)


def _delta(pixels: Bytes, options: Options, profile: bytes | None) -> Finished:
    cut_out = stamped(pixels) if options.test else pixels
    content = delta_png.encode(pixels, cut_out, profile, test=options.test)
    return Finished(content, (pixels.shape[1], pixels.shape[0]), foreground_box(pixels))
