"""``python -m bench.quality.fidelity``: how true the cut-outs are, measured where the truth is known.

Prints, for the half that settings are tuned on and for the held-out half, the median and the range of
each error over the scenes: of the network's mask alone, of the guided filter's matte, of that matte with
estimated foreground colours, and of rembg with the same weights where ``--rembg`` names a Python that has
it. Nothing is tuned on the held-out half. Draws a sheet of real photos beside it, to be looked at.
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
Found = dict[tuple[str, bool], list[Errors]]


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit status."""
    given = _parsed(arguments)
    try:
        config = Config.from_env()
        dataset.gather(given.cache)
        matter = _matter(given.model, config, given.cache)
        draw = partial(scenes, given.count, given.seed, given.cache)
        found = measure(matter, draw())
        if given.rembg:
            found |= measure_rembg(given.rembg, draw, config.models_dir)
    except (ConfigError, ModelError, PackageError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"bench.quality.fidelity: {error}\n")
        return 1
    sys.stdout.write(f"Model {given.model}, {given.count} scenes, seed {given.seed}\n")
    sys.stdout.writelines(f"{line}\n" for line in table(found))
    contact_sheet.draw(matter, given.sheet)
    sys.stdout.write(f"\nLook at {given.sheet}\n")
    return 0


def measure(matter: Matting, drawn: Iterable[Scene]) -> Found:
    """The errors of each step of ours, by its name and by half."""
    found: Found = defaultdict(list)
    for scene in drawn:
        for name, alpha, colours in _steps(matter, scene.picture):
            found[name, scene.held_out].append(errors(alpha, colours, scene.alpha, scene.foreground))
    return found


def measure_rembg(python: str, draw: Callable[[], Iterable[Scene]], models_dir: Path) -> Found:
    """The errors of rembg. ``draw`` draws the scenes, twice: to keep them all would take gigabytes."""
    found: Found = defaultdict(list)
    cut = baseline.cut_outs(python, (scene.picture for scene in draw()), models_dir)
    for scene, pixels in zip(draw(), cut, strict=True):
        of = errors(pixels[..., 3], pixels[..., :3], scene.alpha, scene.foreground)
        found["rembg", scene.held_out].append(of)
    return found


def table(found: Found) -> Iterator[str]:
    """Lines to print: median (smallest to largest)."""
    for held_out in (False, True):
        steps = {name: all_of for (name, half), all_of in found.items() if half == held_out}
        count = len(next(iter(steps.values()), []))
        yield f"\n{'HELD OUT, nothing is tuned on these' if held_out else 'Tuning half'}: {count} scenes"
        yield f"{'':8}" + "".join(f"{name:>24}" for name in NAMES)
        for step, all_of in steps.items():
            columns = [[getattr(one, name) for one in all_of] for name in NAMES]
            yield f"{step:8}" + "".join(f"{_summary(values):>24}" for values in columns)


def _steps(matter: Matting, picture: Bytes) -> Iterator[tuple[str, Bytes, Bytes]]:
    size = picture.shape[1], picture.shape[0]
    mask = matter.mask(picture)
    enlarged = np.zeros(size[::-1]) if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC)
    yield "mask", (np.clip(enlarged, 0, 1) * 255 + 0.5).astype(np.uint8), picture
    alpha = matter.matte(picture)
    yield "guided", alpha, picture
    yield "final", alpha, estimate(picture, alpha)


def _summary(values: Sequence[float]) -> str:
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _matter(name: str, config: Config, cache: Path) -> Matting:
    model = models.find(name, config.models_dir)
    path = model.path(config.models_dir)
    model.check(path)
    return Matting(model, inference.load(path, cache / "engine"))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quality.fidelity", description=__doc__)
    parser.add_argument("--model", default="standard", help="name of the network")
    parser.add_argument("--count", type=int, default=100, help="how many scenes, from 60")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same scenes")
    parser.add_argument("--rembg", default=os.environ.get("REMBG_PYTHON"), help="a Python that has rembg")
    parser.add_argument("--cache", type=Path, default=dataset.CACHE, help="what was fetched is kept here")
    parser.add_argument(
        "--sheet", type=Path, default=dataset.CACHE / "sheet.png", help="the sheet to look at"
    )
    given = parser.parse_args(arguments)
    if given.count < TOO_FEW:
        parser.error(f"{given.count} scenes tell nothing; take at least {TOO_FEW}")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
