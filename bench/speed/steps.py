"""Where a large photo's time goes, step by step, in this process."""

import cProfile
import io
import pstats
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bench.quality import dataset
from engine.pipeline.cutout import BackgroundRemover
from pixian.protocol.options import Options

STEPS = {
    "decode.py:decode": "decode",
    "convert.py:rgba": "to RGBA",
    "inference.py:infer": "network",
    "guided_filter.py:coefficients": "filter",
    "guided_filter.py:apply": "filter, full size",
    "foreground_estimation.py:decontaminate": "foreground colours",
    "encode.py:encode": "encode",
}
"""Function by function, none of them within another: their shares add up."""


def large_photo(megapixels: int) -> bytes:
    """Return a JPEG of that size, enlarged from a real photo, with a camera's grain."""
    size = {12: (4000, 3000), 25: (5770, 4330)}[megapixels]
    with Image.open(dataset.PHOTOS / "astronaut.jpg") as photo:
        pixels = np.asarray(photo.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    grain = np.random.default_rng(0).integers(-4, 5, pixels.shape, np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def lines(cutter: BackgroundRemover, megapixels: int, repeats: int) -> Iterator[str]:
    """Lines to print: the median time, and each step's share of a profiled run."""
    photo = large_photo(megapixels)
    cutter.cut_out(io.BytesIO(photo), Options())
    seconds = [_timed(cutter, photo) for _ in range(repeats)]
    yield f"{megapixels} MP: {np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    profile = cProfile.Profile()
    profile.runcall(cutter.cut_out, io.BytesIO(photo), Options())
    stats = pstats.Stats(profile)
    for (path, _, function), (_, _, _, cumulative, _) in stats.stats.items():  # type: ignore[attr-defined]
        if step := STEPS.get(f"{Path(path).name}:{function}"):
            yield f"    {step:20}{cumulative / stats.total_tt:6.0%}"  # type: ignore[attr-defined]


def _timed(cutter: BackgroundRemover, photo: bytes) -> float:
    started = time.perf_counter()
    cutter.cut_out(io.BytesIO(photo), Options())
    return time.perf_counter() - started
