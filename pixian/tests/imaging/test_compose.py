import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from pixian.imaging import resize
from pixian.imaging.color_profile import to_profile
from pixian.imaging.compose import compose, foreground_box
from pixian.imaging.convert import Pixels
from pixian.imaging.layout import Box
from pixian.protocol.errors import Code, Refused
from pixian.protocol.margin import Margin
from pixian.protocol.options import Alignment, Format, Options

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# An RGB space whose red primary is sRGB's green, and the other way round.
SWAPPED = SRGB.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
COLORS = st.tuples(*[st.integers(0, 255)] * 3)
ALPHAS = st.sampled_from([0, 0, 1, 127, 254, 255])


@st.composite
def cut_outs(draw: st.DrawFn) -> Pixels:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    pixels = draw(arrays(np.uint8, (height, width, 4)))
    pixels[..., 3] = draw(arrays(np.uint8, (height, width), elements=ALPHAS))
    return pixels


def square(side: int = 40, box: tuple[int, int, int, int] = (10, 20, 30, 24)) -> Pixels:
    """Transparent, with one opaque box: left, top, right, bottom."""
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = (200, 100, 50, 255)
    return pixels


def over(pixel: list[int], color: tuple[int, int, int]) -> list[int]:
    """The definition, in exact numbers."""
    alpha = pixel[3]
    mixed = [top * alpha + below * (255 - alpha) for top, below in zip(pixel, color, strict=False)]
    return [(2 * value + 255) // 510 for value in mixed] + [255]


@given(cut_outs())
def test_without_options_only_hidden_colours_change(pixels: Pixels) -> None:
    expected = np.where(pixels[..., 3:] > 0, pixels, 0)

    made = compose(pixels.copy(), Options())

    np.testing.assert_array_equal(made.pixels, expected)


@given(cut_outs())
def test_the_box_is_that_of_every_visible_pixel(pixels: Pixels) -> None:
    rows, columns = np.nonzero(pixels[..., 3])
    box = foreground_box(pixels)
    if rows.size == 0:
        assert box is None
    else:
        assert box is not None
        assert (box.left, box.top) == (columns.min(), rows.min())
        assert (box.right, box.bottom) == (columns.max() + 1, rows.max() + 1)


@given(cut_outs(), COLORS, st.booleans(), st.sampled_from(["0", "1px 2px", "0 0 3px 50%"]))
def test_every_pixel_follows_the_definition(
    pixels: Pixels, color: tuple[int, int, int], crop: bool, margin: str
) -> None:
    """A brute-force oracle for all that doesn't scale."""
    box = foreground_box(pixels)
    shown = box if crop and box else Box(0, 0, pixels.shape[1], pixels.shape[0])
    part = pixels[shown.top : shown.bottom, shown.left : shown.right].tolist()
    edges = Margin.parse(margin).edges(len(part[0]), len(part))
    empty = [0, 0, 0, 0]
    rows = [[empty] * edges.left + row + [empty] * edges.right for row in part]
    blank = [[empty] * len(rows[0])]
    rows = blank * edges.top + rows + blank * edges.bottom

    options = Options(
        background_color=color, crop_to_foreground=crop, margin=Margin.parse(margin), format=Format.PNG
    )
    made = compose(pixels, options)

    assert made.pixels.tolist() == [[over(pixel, color) for pixel in row] for row in rows]


def test_a_jpeg_without_a_colour_is_white() -> None:
    made = compose(square(), Options(format=Format.JPEG))
    assert made.pixels[0, 0].tolist() == [255, 255, 255, 255]
    assert made.pixels[21, 15].tolist() == [200, 100, 50, 255]


def test_nothing_found_is_a_transparent_frame() -> None:
    made = compose(np.full((3, 5, 4), (9, 9, 9, 0), np.uint8), Options(crop_to_foreground=True))
    assert (made.pixels.shape, made.pixels.max(), made.foreground) == ((3, 5, 4), 0, None)


@pytest.mark.parametrize(
    ("alignment", "top"), [(Alignment.TOP, 10), (Alignment.MIDDLE, 40), (Alignment.BOTTOM, 70)]
)
def test_a_target_holds_the_crop_where_it_is_aligned(alignment: Alignment, top: int) -> None:
    options = Options(
        crop_to_foreground=True,
        target_size=(120, 100),
        margin=Margin.parse("10px"),
        vertical_alignment=alignment,
    )
    made = compose(square(), options)

    assert made.pixels.shape == (100, 120, 4)
    assert made.foreground == foreground_box(made.pixels) == Box(10, top, 100, 20)
    assert (made.pixels[top : top + 20, 10:110] == (200, 100, 50, 255)).all()


@pytest.mark.parametrize("target", [(80, 80), (20, 20), (33, 70)])
def test_the_foreground_is_told_where_it_lies(target: tuple[int, int]) -> None:
    made = compose(square(), Options(target_size=target, margin=Margin.parse("3px 4px")))

    solid = made.pixels.copy()
    solid[solid[..., 3] < 128] = 0
    seen, placed = foreground_box(solid), made.foreground
    assert seen is not None
    assert placed is not None
    assert abs(seen.left - placed.left) <= 1 >= abs(seen.right - placed.right)
    assert abs(seen.top - placed.top) <= 1 >= abs(seen.bottom - placed.bottom)


class TestScaling:
    @given(cut_outs(), st.tuples(st.integers(1, 30), st.integers(1, 30)))
    def test_hidden_colours_do_not_bleed_in(self, pixels: Pixels, target: tuple[int, int]) -> None:
        hidden = pixels[..., 3] == 0
        green, black = pixels.copy(), pixels.copy()
        green[hidden] = (0, 255, 0, 0)
        black[hidden] = 0
        options = Options(target_size=target)

        np.testing.assert_array_equal(compose(green, options).pixels, compose(black, options).pixels)

    @pytest.mark.parametrize("target", [(700, 700), (90, 90), (7, 7)])
    def test_strips_leave_no_seam(self, monkeypatch: pytest.MonkeyPatch, target: tuple[int, int]) -> None:
        pixels = np.random.default_rng(2).integers(0, 256, (300, 300, 4), np.uint8)
        strips = resize.scaled(pixels, target).astype(int)

        monkeypatch.setattr(resize, "STRIP_ROWS", 10_000)

        assert np.abs(resize.scaled(pixels, target) - strips).max() <= 1

    def test_an_edge_keeps_its_colour(self) -> None:
        made = compose(square(), Options(target_size=(90, 90))).pixels
        assert np.ptp(made[..., 3][made[..., 3] > 0]) > 200
        assert (made[made[..., 3] > 0][:, :3] == (200, 100, 50)).all()

    @pytest.mark.parametrize("target", [(57, 57), (13, 13), (400, 400)])
    def test_it_is_bicubic_on_premultiplied_numbers(self, target: tuple[int, int]) -> None:
        random = np.random.default_rng(1)
        pixels = random.integers(0, 256, (40, 40, 4), np.uint8)

        made = compose(pixels.copy(), Options(target_size=target)).pixels.astype(float)

        alpha = pixels[..., 3:].astype(float)
        planes = np.dstack([pixels[..., :3] * alpha / 255, alpha])
        expected = np.dstack([resized(planes[..., channel], target) for channel in range(4)])
        premultiplied = np.dstack([made[..., :3] * made[..., 3:] / 255, made[..., 3:]])
        usual = (expected > 0).all(axis=2) & (expected <= expected[..., 3:]).all(axis=2)
        usual &= expected[..., 3] <= 255
        assert usual.mean() > 0.5
        assert np.abs(premultiplied - expected)[usual].max() <= 1


def resized(plane: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def test_too_large_a_result_is_refused_before_there_is_room_for_it() -> None:
    with pytest.raises(Refused) as caught:
        compose(square(), Options(margin=Margin.parse("100000000px")))
    assert (caught.value.status, caught.value.code) == (400, Code.RESULT_TOO_LARGE)


class TestColourSpaces:
    def test_a_colour_is_converted_to_the_pictures_space(self) -> None:
        assert to_profile((255, 0, 0), SWAPPED) == (0, 255, 0)
        options = Options(background_color=(255, 0, 0))
        assert compose(square(), options, SWAPPED).pixels[0, 0].tolist() == [0, 255, 0, 255]

    @given(COLORS)
    def test_in_srgb_it_stays_as_it_is(self, color: tuple[int, int, int]) -> None:
        assert to_profile(color, SRGB) == to_profile(color, None) == color

    @pytest.mark.parametrize("profile", [b"", b"no profile", SRGB[:200]], ids=["empty", "text", "cut"])
    def test_with_a_broken_profile_too(self, profile: bytes) -> None:
        assert to_profile((1, 2, 3), profile) == (1, 2, 3)

    def test_white_is_white_everywhere(self) -> None:
        assert to_profile((255, 255, 255), SWAPPED) == (255, 255, 255)


def test_a_profile_of_another_space_is_left_alone() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert ImageCms.ImageCmsProfile(io.BytesIO(lab))
    assert to_profile((1, 2, 3), lab) == (1, 2, 3)
