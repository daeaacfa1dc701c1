"""One picture's way: decoded, upright, shrunk, matted, encoded, priced."""

from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from engine.desk import Desk
from engine.guided import Bytes
from engine.matte import Matter
from engine.pixels import eight_bit, rgb_profile, rgba, shrunk, upright
from engine.png import encode
from engine.watermark import stamped
from pixian.limits import MAX_UPLOAD_PIXELS
from pixian.options import Options
from pixian.picture import decode, open_picture

Size = tuple[int, int]


@dataclass(frozen=True)
class CutOut:
    """A PNG with straight alpha, and what is told about it. Sizes are width and height in pixels.

    input_size: as uploaded, orientation applied. orientation: the EXIF value that was applied, 1 to 8.
    price_microcredits: what it costs in production; charged_microcredits: what this call costs.
    """

    png: bytes
    input_size: Size
    result_size: Size
    orientation: int
    price_microcredits: int
    charged_microcredits: int


class Cutter:
    """Makes cut-outs. Safe to share between threads."""

    def __init__(self, matter: Matter, microcredits_per_megapixel: int) -> None:
        self._matter = matter
        self._rate = microcredits_per_megapixel
        self._desk = Desk(MAX_UPLOAD_PIXELS)

    def cut_out(self, file: BinaryIO, options: Options) -> CutOut:
        """The foreground of the picture in ``file``; raises what pixian.picture raises for a bad one."""
        image, header = open_picture(file)
        with closing(image), self._desk.room_for(header.pixels):
            decode(image)
            pixels, size, profile = _working_copy(image, options.max_pixels)
            image.close()
            _lay_under(self._matter.matte(pixels), pixels)
            if options.test:
                pixels = stamped(pixels)
            price = price_microcredits(pixels.shape[0] * pixels.shape[1], self._rate)
            return CutOut(
                png=encode(pixels, profile),
                input_size=size,
                result_size=(pixels.shape[1], pixels.shape[0]),
                orientation=header.orientation,
                price_microcredits=price,
                charged_microcredits=0 if options.test else price,
            )


def price_microcredits(pixels: int, microcredits_per_megapixel: int) -> int:
    """Price by the megapixel, begun micro-credits counted whole, so that a client who rounds up its
    estimate is never surprised."""
    return -(-pixels * microcredits_per_megapixel // 1_000_000)


def _working_copy(image: Image.Image, max_pixels: int) -> tuple[Bytes, Size, bytes | None]:
    """RGBA uint8[H, W, 4], the size before it was shrunk, and the ICC profile."""
    profile = rgb_profile(image)
    image = upright(image)
    size = image.size
    return rgba(shrunk(eight_bit(image), max_pixels)), size, profile


def _lay_under(matte: Bytes, pixels: Bytes) -> None:
    """The matte becomes the picture's alpha, multiplied with its own; in place."""
    alpha = cv2.multiply(np.ascontiguousarray(pixels[..., 3]), matte, scale=1 / 255)
    pixels[..., 3] = alpha
    # What is hidden needn't be sent: it takes half the bytes, and nobody can uncover it.
    pixels.view(np.uint32)[..., 0] *= alpha > 0
