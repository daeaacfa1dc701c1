import cv2
import numpy as np
import pytest

from engine.pipeline.foreground_estimation import TILE, decontaminate, estimate
from engine.pipeline.guided_filter import Bytes, Floats

RED, BLUE = (220, 30, 40), (20, 60, 230)


def disc(side: int, softness: float) -> Floats:
    """A round soft matte, float32[side, side]."""
    hard = np.zeros((side, side), np.float32)
    cv2.circle(hard, (side // 2, side // 2), side // 3, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), softness), np.float32)


def mixed(alpha: Floats, above: object, below: object) -> tuple[Bytes, Bytes]:
    """A picture of one colour on another, and its matte."""
    part = alpha[..., np.newaxis]
    picture = part * np.array(above, np.float32) + (1 - part) * np.array(below, np.float32)
    return (picture + 0.5).astype(np.uint8), (alpha * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("side", [300, 3000])
def test_a_red_disc_on_blue_is_red_to_its_edge(side: int) -> None:
    picture, alpha = mixed(disc(side, side / 300), RED, BLUE)
    edge = (alpha > 10) & (alpha < 255)
    assert np.abs(picture[edge].astype(int) - RED).max() > 150

    estimated = estimate(picture, alpha)

    off = np.abs(estimated[edge].astype(int) - RED)
    assert off.mean() < 0.15 * np.abs(picture[edge].astype(int) - RED).mean()


def test_what_is_opaque_or_hidden_keeps_its_colour_to_the_bit() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (3 * TILE + 5, 2 * TILE + 7, 3), np.uint8)
    alpha = random.choice(np.array([0, 1, 128, 254, 255], np.uint8), picture.shape[:2])

    estimated = estimate(picture, alpha)

    certain = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(estimated[certain], picture[certain])


def test_laid_on_the_old_ground_it_is_the_old_picture() -> None:
    alpha = disc(200, 3)
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((200, 200, 3), np.float32), (0, 0), 4) * 255
    picture, matte = mixed(alpha, texture, BLUE)

    estimated = estimate(picture, matte).astype(np.float32)

    again = alpha[..., np.newaxis] * estimated + (1 - alpha[..., np.newaxis]) * np.array(BLUE, np.float32)
    assert np.abs(again - picture)[matte > 0].mean() < 2


def test_in_place_is_the_same_and_leaves_the_fourth_channel() -> None:
    picture, alpha = mixed(disc(600, 5), RED, BLUE)
    four = np.dstack([picture, np.full(alpha.shape, 77, np.uint8)])

    decontaminate(four, alpha)

    np.testing.assert_array_equal(four[..., :3], estimate(picture, alpha))
    assert (four[..., 3] == 77).all()


def test_the_callers_picture_stays() -> None:
    picture, alpha = mixed(disc(100, 2), RED, BLUE)
    before = picture.copy()

    estimate(picture, alpha)

    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_without_any_pure_colour_the_pictures_own_stays(value: int) -> None:
    """A veil over everything: nothing says which part of the mixture is whose."""
    picture = np.full((80, 60, 3), RED, np.uint8)

    estimated = estimate(picture, np.full((80, 60), value, np.uint8))

    assert np.abs(estimated.astype(int) - RED).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (40_000, 3), (3, 40_000)])
def test_any_shape(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*shape, 3), np.uint8)

    assert estimate(picture, random.integers(0, 256, shape, np.uint8)).shape == (*shape, 3)


def test_tiles_leave_no_seam() -> None:
    """A mixture that changes slowly is undone as slowly, across the borders of tiles too."""
    alpha = np.repeat(np.linspace(0, 1, 3 * TILE, dtype=np.float32)[np.newaxis], 2 * TILE, axis=0)
    picture, matte = mixed(alpha, RED, BLUE)

    estimated = estimate(picture, matte).astype(int)

    assert np.ptp(estimated, axis=0).max() <= 1
    steps = np.abs(np.diff(estimated[:, 8:-8], axis=1)).max(axis=(0, 2))
    assert steps[TILE - 9] <= np.percentile(steps, 99) + 1
