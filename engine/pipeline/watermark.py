"""The watermark of a test result, which makes it useless in production."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.pipeline.guided_filter import Bytes

TEXT = "TEST"
TILES_ACROSS = 5
MIN_TILE = 24
FILL = (255, 255, 255, 150)
OUTLINE = (0, 0, 0, 150)


def stamped(pixels: Bytes) -> Bytes:
    """Return a copy of an RGBA picture uint8[H, W, 4] with the watermark all over, even where alpha is 0."""
    image = Image.fromarray(pixels)
    tile = _tile(max(MIN_TILE, max(image.size) // TILES_ACROSS))
    for row, top in enumerate(range(0, image.height, tile.height)):
        # Every other row is shifted by half a tile, so that no vertical stripe of the picture stays clean.
        for left in range(-(row % 2) * tile.width // 2, image.width, tile.width):
            _paste(image, tile, left, top)
    return np.array(image)


def _tile(side: int) -> Image.Image:
    """Return a slanted TEST in white with a dark outline, which shows on any background."""
    tile = Image.new("RGBA", (side, side))
    ImageDraw.Draw(tile).text(
        (side / 2, side / 2),
        TEXT,
        anchor="mm",
        font=ImageFont.load_default(side * 0.3),
        fill=FILL,
        stroke_width=max(1, side // 60),
        stroke_fill=OUTLINE,
    )
    return tile.rotate(30, Image.Resampling.BICUBIC)


def _paste(image: Image.Image, tile: Image.Image, left: int, top: int) -> None:
    box = max(left, 0), top, min(left + tile.width, image.width), min(top + tile.height, image.height)
    part = tile.crop((box[0] - left, 0, box[2] - left, box[3] - top))
    image.paste(Image.alpha_composite(image.crop(box), part), box)
