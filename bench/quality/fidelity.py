"""``python -m bench.quality.fidelity``: measures the errors of cut-outs on scenes with known alpha.

Prints the median and range of each error over the scenes, separately for the tuning half and the held-out
half, on which nothing is tuned. The steps compared are the network's mask, the guided filter's matte, that
matte with estimated foreground colours, and rembg with the same weights, if ``--rembg`` names a Python that
has it. Also draws a contact sheet of real photos to look at.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bench.quality import baseline, contact_sheet, dataset
from bench.quality.metrics import NAMES, Errors, errors
from bench.quality.scenes import Scene, scenes
from engine.config import Config
from engine.environment import ConfigError
from engine.models import catalog as models
from engine.models.packages import PackageError
from engine.models.spec import ModelError
from engine.pipeline import inference
from engine.pipeline.foreground_estimation import estimate
from engine.pipeline.guided_filter import Bytes
from engine.pipeline.matting import Matting

TOO_FEW = 60
ErrorsByStep = dict[tuple[str, bool], list[Errors]]
"""Errors by the name of the step, and by whether the scene is held out."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    options = _parse_arguments(arguments)
    try:
        config = Config.from_env()
        dataset.gather(options.cache)
        matting = _load_matting(options.model, config, options.cache)
        draw = partial(scenes, options.count, options.seed, options.cache)
        measured = measure(matting, draw())
        if options.rembg:
            measured |= measure_rembg(options.rembg, draw, config.models_dir)
    except (ConfigError, ModelError, PackageError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"bench.quality.fidelity: {error}\n")
        return 1
    sys.stdout.write(f"Model {options.model}, {options.count} scenes, seed {options.seed}\n")
    sys.stdout.writelines(f"{line}\n" for line in table(measured))
    contact_sheet.draw(matting, options.sheet)
    sys.stdout.write(f"\nLook at {options.sheet}\n")
    return 0


def measure(matting: Matting, drawn: Iterable[Scene]) -> ErrorsByStep:
    """Return the errors of each of our own steps."""
    measured: ErrorsByStep = defaultdict(list)
    for scene in drawn:
        for name, alpha, colours in _steps(matting, scene.picture):
            measured[name, scene.held_out].append(errors(alpha, colours, scene.alpha, scene.foreground))
    return measured


def measure_rembg(python: str, draw: Callable[[], Iterable[Scene]], models_dir: Path) -> ErrorsByStep:
    """Return the errors of rembg. draw: draws the scenes; called twice, since keeping all takes gigabytes."""
    measured: ErrorsByStep = defaultdict(list)
    cut_outs = baseline.cut_outs(python, (scene.picture for scene in draw()), models_dir)
    for scene, pixels in zip(draw(), cut_outs, strict=True):
        scene_errors = errors(pixels[..., 3], pixels[..., :3], scene.alpha, scene.foreground)
        measured["rembg", scene.held_out].append(scene_errors)
    return measured


def table(measured: ErrorsByStep) -> Iterator[str]:
    """Yield lines of a table with median (smallest to largest) in each cell."""
    for held_out in (False, True):
        steps = {name: all_of for (name, half), all_of in measured.items() if half == held_out}
        count = len(next(iter(steps.values()), []))
        yield f"\n{'HELD OUT, nothing is tuned on these' if held_out else 'Tuning half'}: {count} scenes"
        yield f"{'':8}" + "".join(f"{name:>24}" for name in NAMES)
        for step, all_of in steps.items():
            columns = [[getattr(one, name) for one in all_of] for name in NAMES]
            yield f"{step:8}" + "".join(f"{_summary(values):>24}" for values in columns)


def _steps(matting: Matting, picture: Bytes) -> Iterator[tuple[str, Bytes, Bytes]]:
    """Yield each step's name, its alpha and its colours."""
    size = picture.shape[1], picture.shape[0]
    mask = matting.mask(picture)
    enlarged = np.zeros(size[::-1]) if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC)
    yield "mask", (np.clip(enlarged, 0, 1) * 255 + 0.5).astype(np.uint8), picture
    alpha = matting.matte(picture)
    yield "guided", alpha, picture
    yield "final", alpha, estimate(picture, alpha)


def _summary(values: Sequence[float]) -> str:
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _load_matting(name: str, config: Config, cache: Path) -> Matting:
    model = models.find(name, config.models_dir)
    path = model.path(config.models_dir)
    model.check(path)
    return Matting(model, inference.load(path, cache / "engine", bfloat16=model.bfloat16))


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quality.fidelity", description=__doc__)
    parser.add_argument("--model", default="standard", help="name of the network")
    parser.add_argument("--count", type=int, default=100, help="number of scenes, at least 60")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same scenes")
    parser.add_argument("--rembg", default=os.environ.get("REMBG_PYTHON"), help="a Python with rembg")
    parser.add_argument("--cache", type=Path, default=dataset.CACHE, help="folder for downloaded data")
    parser.add_argument("--sheet", type=Path, default=dataset.CACHE / "sheet.png", help="the contact sheet")
    options = parser.parse_args(arguments)
    if options.count < TOO_FEW:
        parser.error(f"{options.count} scenes are too few for a result; use at least {TOO_FEW}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
