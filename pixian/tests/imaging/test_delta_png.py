"""The round trip: bit for bit what was cut out, wherever anybody sees it."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pixian.imaging.compose import compose
from pixian.imaging.convert import Pixels
from pixian.imaging.delta_png import decode, encode
from pixian.imaging.encode import encode as ordinary
from pixian.protocol.options import Options
from pixian.tests.imaging.test_compose import SRGB

PHOTOS = Path(__file__).parents[3] / "engine/tests/photos"
ALPHAS = st.sampled_from([0, 255, 255, 0, 1, 254, 128])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Pixels, Pixels]:
    """An original, and a cut-out that keeps most of its colours and has some of its own."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    original = draw(arrays(np.uint8, (height, width, 3), elements=st.sampled_from([0, 1, 254, 255])))
    alpha = draw(arrays(np.uint8, (height, width), elements=ALPHAS))
    cut_out = np.dstack([original, alpha])
    own = draw(arrays(np.bool_, (height, width), elements=st.sampled_from([False, False, True])))
    cut_out[own, :3] ^= 255
    return original, cut_out


def photo(name: str, scale: int = 1) -> tuple[Pixels, Pixels]:
    """A photo, and a cut-out whose soft edge is an ellipse's."""
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        original = np.array(image.resize((image.width * scale, image.height * scale)).convert("RGB"))
    height, width = original.shape[:2]
    matte = np.zeros((height, width), np.uint8)
    middle, radii = (width // 2, height // 2), (width // 3, height // 3)
    cv2.ellipse(matte, middle, radii, 20, 0, 360, 255, -1)
    return original, np.dstack([original, cv2.blur(matte, (9, 9))])


def stored(delta: bytes) -> Pixels:
    with Image.open(io.BytesIO(delta)) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
        return np.array(image)


def assert_same_picture(decoded: Pixels, cut_out: Pixels) -> None:
    np.testing.assert_array_equal(decoded[..., 3], cut_out[..., 3])
    visible = cut_out[..., 3] > 0
    np.testing.assert_array_equal(decoded[visible], cut_out[visible])
    assert not decoded[~visible].any()


@given(pairs())
def test_what_is_decoded_is_what_was_cut_out(pair: tuple[Pixels, Pixels]) -> None:
    original, cut_out = pair
    assert_same_picture(decode(original, encode(original, cut_out)), cut_out)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("scale", [1, 3])
def test_of_photos_too(name: str, scale: int) -> None:
    original, cut_out = photo(name, scale)
    delta = encode(original, cut_out)

    assert_same_picture(decode(original, delta), cut_out)
    assert len(delta) < 0.27 * len(ordinary(compose(cut_out, Options()).pixels, Options()))


def test_each_kind_of_pixel_is_stored_as_the_contract_says() -> None:
    original = np.array([[(10, 20, 30)] * 5], np.uint8)
    cut_out = np.array(
        [[(10, 20, 30, 255), (10, 20, 30, 0), (10, 20, 30, 77), (11, 20, 30, 255), (255, 9, 9, 0)]], np.uint8
    )

    assert stored(encode(original, cut_out)).tolist() == [
        [[255, 255, 255, 0], [0, 0, 0, 0], [10, 20, 30, 77], [11, 20, 30, 255], [0, 0, 0, 0]]
    ]


@given(pairs())
def test_a_tests_own_pixels_are_told_by_their_alpha(pair: tuple[Pixels, Pixels]) -> None:
    original, marked = pair
    delta = encode(original, marked, test=True)

    own = (marked[..., 3] == 255) & (marked[..., :3] != original).any(axis=2)
    expected = marked.copy()
    expected[own, 3] = 254
    assert_same_picture(decode(original, delta), expected)
    assert stored(delta)[..., 3].max() < 255


@given(pairs(), st.integers(0, 255))
def test_an_originals_own_alpha_is_not_looked_at(pair: tuple[Pixels, Pixels], alpha: int) -> None:
    original, cut_out = pair
    with_alpha = np.dstack([original, np.full(original.shape[:2], alpha, np.uint8)])

    delta = encode(with_alpha, cut_out)

    assert delta == encode(original, cut_out)
    assert_same_picture(decode(with_alpha, delta), cut_out)


def test_neither_picture_is_changed() -> None:
    original, cut_out = photo("coffee")
    before = original.copy(), cut_out.copy()
    decode(original, encode(original, cut_out, test=True))
    np.testing.assert_array_equal(original, before[0])
    np.testing.assert_array_equal(cut_out, before[1])


def test_the_profile_comes_along() -> None:
    original, cut_out = photo("coffee")
    delta = encode(original, cut_out, SRGB)
    assert Image.open(io.BytesIO(delta)).info == {"icc_profile": SRGB}
    assert_same_picture(decode(original, delta), cut_out)


class TestWhatCannotBe:
    def test_another_size(self) -> None:
        original, cut_out = photo("coffee")
        delta = encode(original, cut_out)
        with pytest.raises(ValueError, match=r"600 × 399.*600 × 400"):
            decode(original[:-1], delta)
        with pytest.raises(ValueError, match=r"599 × 400.*600 × 400"):
            encode(original[:, 1:], cut_out)

    def test_another_kind_of_picture(self) -> None:
        original, _ = photo("coffee")
        file = io.BytesIO()
        Image.fromarray(original).save(file, "PNG")
        with pytest.raises(ValueError, match="RGBA"):
            decode(original, file.getvalue())

    @pytest.mark.parametrize("cut", [0, 20, 40, 2000, -200])
    def test_half_a_delta(self, cut: int) -> None:
        original, cut_out = photo("coffee")
        with pytest.raises(ValueError, match="can't be used"):
            decode(original, encode(original, cut_out)[:cut])
