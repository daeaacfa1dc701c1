from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.models import catalog as models
from engine.models.spec import Model
from engine.pipeline import inference
from engine.pipeline.guided_filter import Bytes, Floats, apply, coefficients
from engine.pipeline.matting import Matting
from engine.tests.conftest import PHOTOS

# Points as x, y in the photo: looked up by eye.
SUBJECTS = {
    "astronaut": [(256, 300), (230, 100), (200, 420)],
    "chelsea": [(150, 60), (200, 130), (300, 150)],
    "coffee": [(300, 200), (250, 300), (300, 120)],
}
GROUNDS = {
    "astronaut": [(30, 30), (500, 5), (330, 60), (500, 250)],
    "chelsea": [(445, 5), (445, 295), (445, 150)],
    "coffee": [(5, 5), (595, 5), (5, 395), (595, 395), (590, 200)],
}


class Whole:
    """A network that sees the same everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value

    def infer(self, planes: Floats) -> Floats:
        return np.full(planes.shape[2:], self.value, np.float32)


class LeftHalf:
    """A network that sees the left half, its output still without a sigmoid."""

    def infer(self, planes: Floats) -> Floats:
        output = np.full(planes.shape[2:], -12, np.float32)
        output[:, : planes.shape[3] // 2] = 12
        return output


def picture(name: str) -> Bytes:
    return np.asarray(cv2.imread(str(PHOTOS / f"{name}.jpg"), cv2.IMREAD_COLOR_RGB), np.uint8)


def assert_cut(matte: Bytes, name: str, scale: int = 1) -> None:
    for x, y in SUBJECTS[name]:
        # CPUs that compute in float32 find a cat's cheek 240 opaque where bfloat16 finds 255.
        assert matte[y * scale, x * scale] >= 230, f"{x}, {y} is foreground"
    for x, y in GROUNDS[name]:
        assert matte[y * scale, x * scale] == 0, f"{x}, {y} is background"


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_subject_is_opaque_and_the_ground_is_gone(matting: Matting, name: str) -> None:
    assert_cut(matting.matte(picture(name)), name)


def test_the_standard_network_too(models_dir: Path) -> None:
    standard = models.BUILT_IN["standard"]
    loaded = inference.load(standard.path(models_dir), bfloat16=standard.bfloat16)
    matting = Matting(standard, loaded)

    for name in SUBJECTS:
        assert_cut(matting.matte(picture(name)), name)


def test_a_large_picture_has_the_same_matte(matting: Matting) -> None:
    small = picture("coffee")
    large = cv2.resize(small, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)

    matte = matting.matte(np.asarray(large, np.uint8))

    assert_cut(matte, "coffee", scale=6)
    shrunk = cv2.resize(matte, (600, 400), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(shrunk - matting.matte(small)).mean() < 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2), (40_000, 12), (12, 40_000)])
def test_any_shape_has_a_matte(matting: Matting, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)

    assert matting.matte(noise).shape == shape


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_where_nothing_is_found_all_is_background(matting: Matting, grey: int) -> None:
    assert matting.matte(np.full((300, 400, 3), grey, np.uint8)).max() == 0


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0, float("nan")])
def test_a_mask_without_any_contrast_shows_nothing(value: float) -> None:
    matting = Matting(models.BUILT_IN["fast"], Whole(value))

    assert matting.matte(picture("coffee")).max() == 0


def test_logits_are_taken_through_a_sigmoid() -> None:
    found = Model("own", "own.onnx", "0" * 64, 64, (0, 0, 0), (1, 1, 1), logits=True)

    matte = Matting(found, LeftHalf()).matte(np.full((100, 200, 3), 128, np.uint8))

    assert (matte[:, :95].min(), matte[:, 105:].max()) == (255, 0)


class TestGuidedFilter:
    def test_a_blurred_edge_follows_the_pictures(self) -> None:
        guide = np.zeros((100, 100, 3), np.float32)
        guide[:, 50:] = (0.9, 0.5, 0.1)
        step = np.repeat((np.arange(100) >= 50).astype(np.float32)[np.newaxis], 100, axis=0)
        blurred = np.asarray(cv2.blur(step, (9, 9)), np.float32)

        planes = coefficients(guide, blurred, 6, 1e-4)
        filtered = (planes[:3].transpose(1, 2, 0) * guide).sum(axis=2) + planes[3]

        assert np.abs(blurred - step).max() > 0.4
        assert np.abs(filtered - step).max() < 0.25

    def test_strips_make_no_difference(self) -> None:
        """Each strip against one that has it in its middle."""
        random = np.random.default_rng(0)
        guide = random.random((400, 50, 3), np.float32)
        matte = random.random((400, 50), np.float32)

        whole = coefficients(guide, matte, 4, 1e-3)
        moved = coefficients(guide[64:], matte[64:], 4, 1e-3)

        np.testing.assert_allclose(whole[:, 80:], moved[:, 16:], atol=1e-5)

    def test_tiles_leave_no_seam(self) -> None:
        ramp = np.linspace(0, 255, 30, dtype=np.float32)
        planes = np.zeros((4, 20, 30), np.float32)
        planes[3] = ramp

        matte = apply(planes, np.zeros((300, 9000, 3), np.uint8)).astype(int)

        assert np.diff(matte, axis=1).min() >= 0
        assert np.diff(matte, axis=1).max() <= 1
        assert np.ptp(matte, axis=0).max() == 0
