"""A contact sheet of real photos: source, alpha, and the cut-out on white and on a saturated colour."""

from pathlib import Path

import cv2
import numpy as np

from bench.quality import dataset
from engine.pipeline.foreground_estimation import estimate
from engine.pipeline.guided_filter import Bytes
from engine.pipeline.matting import Matting

WHITE, MAGENTA = (255, 255, 255), (230, 0, 160)
ROW = 420


def draw(matting: Matting, path: Path) -> None:
    """Write the sheet as a PNG, one photo a row."""
    rows = [_row(matting, picture) for _, picture in dataset.photos()]
    width = max(row.shape[1] for row in rows)
    padded = [cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT) for row in rows]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(padded), cv2.COLOR_RGB2BGR))


def _row(matting: Matting, picture: Bytes) -> Bytes:
    alpha = matting.matte(picture)
    colours = estimate(picture, alpha)
    cells = [picture, cv2.merge([alpha] * 3), *(_fill(colours, alpha, color) for color in (WHITE, MAGENTA))]
    row = np.hstack([np.asarray(cell, np.uint8) for cell in cells])
    # The finished cells are resized, not the picture: the matte is made at the photo's own size.
    scale = ROW / row.shape[0]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(row, None, fx=scale, fy=scale, interpolation=interpolation), np.uint8)


def _fill(colours: Bytes, alpha: Bytes, background: tuple[int, int, int]) -> Bytes:
    part = alpha[..., np.newaxis].astype(np.float32) / 255
    return (colours * part + (1 - part) * np.array(background, np.float32) + 0.5).astype(np.uint8)
