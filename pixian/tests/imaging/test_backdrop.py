"""Pictures behind a cut-out: they cover the canvas undistorted, and a blurred one has no ghost in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.imaging.backdrop import blurred, cover


@given(*[st.integers(1, 300)] * 4)
def test_any_picture_covers_any_canvas(width: int, height: int, across: int, down: int) -> None:
    picture = np.full((height, width, 4), 77, np.uint8)
    covered = cover(picture, (across, down))
    assert covered.shape == (down, across, 3)
    assert (covered == 77).all()


@pytest.mark.parametrize("size", [(200, 100), (100, 100), (50, 50), (400, 400)])
def test_the_centre_is_shown(size: tuple[int, int]) -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 90:110] = 255
    seen = cover(picture, size)[..., 0] > 127
    columns = np.flatnonzero(seen.any(axis=0))
    assert abs(columns.mean() - (size[0] - 1) / 2) <= 1
    assert abs(len(columns) - 20 * size[1] / 100) <= 2  # undistorted: the stripe is a fifth of the height


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return a grey picture with a red disc in its middle, and the alpha of the disc."""
    down, across = np.mgrid[:300, :400]
    disc = (across - 200) ** 2 + (down - 150) ** 2 < 90**2
    picture = np.where(disc[..., None], (250, 10, 10), (128, 128, 128)).astype(np.uint8)
    return picture, (disc * 255).astype(np.uint8)


@pytest.mark.parametrize("strength", [1, 10, 40, 100])
def test_the_subject_leaves_no_ghost_in_the_blur(strength: int) -> None:
    picture, alpha = scene()
    ghost = blurred(picture, None, strength).astype(int)
    clean = blurred(picture, alpha, strength).astype(int)
    assert np.abs(clean - 128).max() <= 1
    assert np.abs(ghost - 128).max() > 50  # the control


def test_more_is_softer() -> None:
    stripes = np.zeros((300, 400, 3), np.uint8)
    stripes[:, ::2] = stripes[:, 200:] = 255
    contrast = [
        int(np.ptp(blurred(stripes, None, strength)[..., 0].astype(int), axis=1).mean())
        for strength in (1, 100)
    ]
    assert contrast[1] < contrast[0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_a_subject_that_fills_the_frame_is_no_trouble(width: int, height: int, alpha: int) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    made = blurred(picture, np.full((height, width), alpha, np.uint8), 50)
    assert made.shape == (height, width, 3)
