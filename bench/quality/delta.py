"""``python -m bench.quality.delta``: compares delta PNGs with plain PNGs in size and time."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import cv2
import numpy as np
from PIL import Image

from bench.quality import dataset
from engine.config import Config
from engine.models import catalog as models
from engine.pipeline import inference
from engine.pipeline.foreground_estimation import decontaminate
from engine.pipeline.matting import Matting
from pixian.imaging import delta_png
from pixian.imaging.compose import compose
from pixian.imaging.convert import Pixels
from pixian.imaging.encode import encode
from pixian.protocol.options import Options

SCALES = (1, 3, 6)
REPEATS = 5


def cut_outs(matting: Matting) -> Iterator[tuple[str, Pixels]]:
    """Yield names and cut-outs of real photos at several scales, with their colours under alpha 0."""
    for path in sorted(dataset.PHOTOS.glob("*.jpg")):
        with Image.open(path) as photo:
            picture = np.asarray(photo.convert("RGBA"))
        for scale in SCALES:
            enlarged = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            pixels = np.asarray(enlarged, np.uint8)
            matte = matting.matte(pixels)
            decontaminate(pixels, matte)
            pixels[..., 3] = matte
            yield f"{path.stem} × {scale}", pixels


def seconds(work: Callable[[], bytes]) -> tuple[float, int]:
    """Return the median time of ``work``, and the number of bytes that it returns."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        content = work()
        times.append(time.perf_counter() - started)
    return median(times), len(content)


def ordinary(pixels: Pixels) -> bytes:
    """Return the plain PNG, with the steps that the engine takes after matting."""
    # A copy, since compose() overwrites its input.
    return encode(compose(pixels.copy(), Options(), None).pixels, Options(), None)


def main() -> None:
    config = Config.from_env()
    model = models.find(config.model, config.models_dir)
    matting = Matting(model, inference.load(model.path(config.models_dir), bfloat16=model.bfloat16))
    sizes, times = [], []
    for name, pixels in cut_outs(matting):
        delta_time, delta_bytes = seconds(partial(delta_png.encode, pixels, pixels))
        plain_time, plain_bytes = seconds(partial(ordinary, pixels))
        sizes.append(delta_bytes / plain_bytes)
        times.append(delta_time / plain_time)
        sys.stdout.write(f"{name:16} bytes {sizes[-1]:.3f}  time {times[-1]:.2f}\n")
    for quantity, ratios in (("bytes", sizes), ("time", times)):
        sys.stdout.write(f"{quantity}: median {median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}\n")


if __name__ == "__main__":
    main()
