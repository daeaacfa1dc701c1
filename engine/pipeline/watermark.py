"""The mark on a test result: free of charge, and of no use in production."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.pipeline.guided_filter import Bytes

TEXT = "TEST"
TILES_ACROSS = 5
MIN_TILE = 24
FILL = (255, 255, 255, 150)
OUTLINE = (0, 0, 0, 150)


def stamped(pixels: Bytes) -> Bytes:
    """An RGBA picture uint8[H, W, 4] with the mark all over it; on the transparent part too."""
    image = Image.fromarray(pixels)
    tile = _tile(max(MIN_TILE, max(image.size) // TILES_ACROSS))
    for row, top in enumerate(range(0, image.height, tile.height)):
        # Every other row is moved by half a tile, so that no stripe of the picture stays clean.
        for left in range(-(row % 2) * tile.width // 2, image.width, tile.width):
            _lay(image, tile, left, top)
    return np.array(image)


def _tile(side: int) -> Image.Image:
    """One slanted TEST, white with a dark outline, so that it shows on any ground."""
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


def _lay(image: Image.Image, tile: Image.Image, left: int, top: int) -> None:
    box = max(left, 0), top, min(left + tile.width, image.width), min(top + tile.height, image.height)
    part = tile.crop((box[0] - left, 0, box[2] - left, box[3] - top))
    image.paste(Image.alpha_composite(image.crop(box), part), box)
