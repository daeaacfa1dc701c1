"""``bg_color``: how it is read, and what it does behind a cut-out."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixian.imaging.convert import Pixels
from pixian.removebg import background as module
from pixian.removebg.background import WHITE, Rgba, fill_background, parse_color
from pixian.tests.imaging.test_compose import SWAPPED, cut_outs

LEVELS = st.integers(0, 255)
PAINTS = st.tuples(LEVELS, LEVELS, LEVELS, st.integers(1, 255))


def over(pixel: list[int], color: Rgba) -> list[int]:
    """The definition, in exact numbers: halves go up."""
    above = Fraction(pixel[3], 255)
    below = Fraction(color[3], 255) * (1 - above)
    alpha = above + below
    colour = [(c * above + g * below) / alpha for c, g in zip(pixel[:3], color[:3], strict=True)]
    return [int(value + Fraction(1, 2)) for value in [*colour, alpha * 255]]


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("fff", (255, 255, 255, 255)),
        ("#0f8", (0, 255, 136, 255)),
        ("0f87", (0, 255, 136, 0x77)),
        ("81d4fa", (0x81, 0xD4, 0xFA, 255)),
        ("#81D4FA77", (0x81, 0xD4, 0xFA, 0x77)),
        ("green", (0, 128, 0, 255)),
        ("DarkSlateGrey", (47, 79, 79, 255)),
        ("rebeccapurple", (102, 51, 153, 255)),
    ],
)
def test_digits_and_names_are_read(text: str, color: Rgba) -> None:
    assert parse_color(text) == color


@pytest.mark.parametrize("text", ["0000", "#fff0", "ffffff00"])
def test_a_wholly_transparent_colour_is_none(text: str) -> None:
    assert parse_color(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "#", "##fff", "fff#", "f", "ff", "fffff", "fffffff", "fffffffff", "ggg", "٣٣٣", "\ud800"),
        *("nocolour", "#green", "rgb(300,0,0)", "rgb(1,2,3)", "hsl(0,100%,50%)", "f" * 200),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of the field catches this very kind
        parse_color(text)


@given(cut_outs(), PAINTS)
def test_every_pixel_follows_the_definition(pixels: Pixels, color: Rgba) -> None:
    expected = [[over(pixel, color) for pixel in row] for row in pixels.tolist()]
    fill_background(pixels, color, None)
    assert pixels.tolist() == expected


@given(arrays(np.uint8, (5, 7, 4)))
def test_strips_leave_no_seam(pixels: Pixels) -> None:
    whole = pixels.copy()
    fill_background(whole, (10, 200, 30, 128), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRIP_PIXELS", 3)
        fill_background(pixels, (10, 200, 30, 128), None)
    np.testing.assert_array_equal(pixels, whole)


def test_a_colour_looks_as_asked_for_in_a_picture_of_another_space() -> None:
    """A phone's photo keeps its profile, by which plain numbers would mean another colour."""
    pixels = np.zeros((1, 1, 4), np.uint8)
    fill_background(pixels, (255, 0, 0, 128), SWAPPED)
    assert pixels[0, 0].tolist() == [0, 255, 0, 128]
    fill_background(pixels, WHITE, SWAPPED)
    assert pixels[0, 0].tolist() == [127, 255, 127, 255]
