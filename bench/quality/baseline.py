"""rembg as the baseline: run in its own Python environment, with the same weights, offline."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from engine.models.catalog import BUILT_IN
from engine.pipeline.guided_filter import Bytes

SCRIPT = Path(__file__).with_name("baseline_side.py")


def python_of(path: str) -> str:
    """Return the Python executable at ``path``, or in the virtual environment at ``path``."""
    return str(Path(path, "bin", "python") if Path(path).is_dir() else Path(path))


@contextmanager
def weights_home(models_dir: Path) -> Iterator[dict[str, str]]:
    """Provide environment variables with which rembg finds U²-Net locally and needn't download it."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "u2net.onnx").symlink_to(BUILT_IN["standard"].path(models_dir).resolve())
        yield os.environ | {"U2NET_HOME": home}


def cut_outs(python: str, pictures: Iterable[Bytes], models_dir: Path) -> Iterator[Bytes]:
    """Yield rembg's cut-out of each RGB picture, as RGBA uint8[H, W, 4]."""
    with weights_home(models_dir) as environment, tempfile.TemporaryDirectory() as folder:
        for index, picture in enumerate(pictures):
            cv2.imwrite(f"{folder}/{index:04}.png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        subprocess.run([python_of(python), str(SCRIPT), folder], env=environment, check=True)  # noqa: S603
        for path in sorted(Path(folder, "out").iterdir()):
            read = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)
            yield np.asarray(cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA), np.uint8)
