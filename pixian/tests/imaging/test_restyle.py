"""Backgrounds and shadows: the geometry is the style's for any subject, and the subject stays as it is."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pixian.imaging import encode
from pixian.imaging.compose import compose, foreground_box
from pixian.imaging.convert import Pixels
from pixian.imaging.layout import Box, Layout, lay_out
from pixian.imaging.restyle import Effects, restyle
from pixian.imaging.shadow import Kind, Shadow
from pixian.protocol.errors import Refused
from pixian.protocol.margin import Length, Margin, Unit
from pixian.protocol.options import Alignment, Options
from pixian.tests.imaging.test_compose import COLORS, SWAPPED, cut_outs, square

LENGTHS = st.builds(Length, st.decimals(0, 30, places=1), st.sampled_from(Unit))
SHADOWS = st.builds(Shadow, st.sampled_from(Kind), st.integers(1, 100))
RED, GREY = (255, 0, 0), (120, 120, 120)


@st.composite
def options(draw: st.DrawFn) -> Options:
    try:
        return Options(
            crop_to_foreground=draw(st.booleans()),
            margin=Margin(*(draw(LENGTHS) for _ in range(4))),
            target_size=draw(st.none() | st.tuples(st.integers(40, 300), st.integers(40, 300))),
            vertical_alignment=draw(st.sampled_from(Alignment)),
        )
    except Refused:  # the margin leaves no room
        assume(False)
        raise


@st.composite
def subjects(draw: st.DrawFn) -> tuple[Pixels, Box]:
    """Draw a frame with an opaque red box somewhere in it."""
    width, height = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[box.top : box.bottom, box.left : box.right] = (*RED, 255)
    return pixels, box


def laid_out(pixels: Pixels, options: Options) -> Layout:
    return lay_out((pixels.shape[1], pixels.shape[0]), foreground_box(pixels), options)


@given(cut_outs(), st.none() | COLORS)
def test_with_a_colour_or_nothing_it_is_what_the_contract_makes(pixels: Pixels, color: Any) -> None:
    meant = compose(pixels.copy(), Options(background_color=color)).pixels
    made = restyle(pixels, laid_out(pixels, Options()), Effects(fill=color))
    np.testing.assert_array_equal(made, meant)


@settings(deadline=None)
@given(subjects(), options(), st.none() | SHADOWS, st.sampled_from(["none", "color", "picture"]))
def test_size_margins_and_alignment_follow_from_the_style_for_any_subject(
    subject: tuple[Pixels, Box], options: Options, shadow: Shadow | None, behind: str
) -> None:
    pixels, box = subject
    layout = laid_out(pixels, options)
    effects = {
        "none": Effects(shadow=shadow),
        "color": Effects(fill=(255, 255, 255), shadow=shadow),
        "picture": Effects(backdrop=np.full((7, 5, 3), 240, np.uint8), shadow=shadow),
    }[behind]

    made = restyle(pixels, layout, effects)

    source = box if options.crop_to_foreground else Box(0, 0, pixels.shape[1], pixels.shape[0])
    width, height = options.target_size or source.size
    edges = options.margin.edges(width, height)
    if options.target_size is None:
        width, height = width + edges.across, height + edges.down
    assert made.shape == (height, width, 4)
    assert effects.is_opaque == (behind != "none")
    if effects.is_opaque:
        assert made[..., 3].min() == 255

    # The source lies within the margins, undistorted, and touches them on two sides at least.
    content = layout.content
    assert edges.left <= content.left
    assert content.right <= width - edges.right
    assert edges.top <= content.top
    assert content.bottom <= height - edges.bottom
    inner = width - edges.across, height - edges.down
    assert content.width == inner[0] or content.height == inner[1]
    scales = content.width / source.width, content.height / source.height
    assert abs(scales[0] - scales[1]) * min(source.size) <= 1 or 1 in content.size
    above, below = content.top - edges.top, height - edges.bottom - content.bottom
    assert {"top": above == 0, "middle": 0 <= below - above <= 1, "bottom": below == 0}[
        options.vertical_alignment
    ]

    # What is red lies where the layout says, give or take the filter's soft edge, and nowhere else.
    placed = layout.place(box)
    is_red = made[..., 0] > made[..., 1].astype(int) + 60
    seen = foreground_box(np.dstack([made[..., :3], is_red.astype(np.uint8)]))
    if seen and placed.width > 4 and placed.height > 4:
        soft = 2 + 2 * max(scales)
        for one, other in [
            (seen.left, placed.left), (seen.top, placed.top),
            (seen.right, placed.right), (seen.bottom, placed.bottom),
        ]:  # fmt: skip
            assert abs(one - other) <= soft


@given(cut_outs(), SHADOWS, st.sampled_from([None, (255, 255, 255), GREY]))
def test_a_shadow_changes_nothing_of_the_subject(pixels: Pixels, shadow: Shadow, color: Any) -> None:
    layout = laid_out(pixels, Options())
    plain = restyle(pixels, layout, Effects(fill=color))
    made = restyle(pixels, layout, Effects(fill=color, shadow=shadow))
    opaque = pixels[..., 3] == 255
    np.testing.assert_array_equal(made[opaque], plain[opaque])
    assert (made[..., 3] >= plain[..., 3]).all()
    if color:
        assert (made[..., :3] <= plain[..., :3]).all()


@given(arrays(np.uint8, (4, 5, 4)), SHADOWS)
def test_on_a_colour_a_transparent_shadow_looks_like_one_that_was_laid_on_it(
    pixels: Pixels, shadow: Shadow
) -> None:
    layout = laid_out(pixels, Options())
    transparent = restyle(pixels, layout, Effects(shadow=shadow))
    over = restyle(transparent, laid_out(transparent, Options()), Effects(fill=GREY))
    meant = restyle(pixels, layout, Effects(fill=GREY, shadow=shadow))
    assert np.abs(over[..., :3].astype(int) - meant[..., :3]).max() <= 2


def test_the_cut_out_can_be_styled_again() -> None:
    pixels = square()
    before = pixels.copy()
    restyle(pixels, laid_out(pixels, Options()), Effects(fill=RED, shadow=Shadow(Kind.SOFT, 100)))
    np.testing.assert_array_equal(pixels, before)


def test_a_soft_shadow_falls_below_and_fades() -> None:
    pixels = square(100, (30, 20, 70, 60))
    made = restyle(pixels, laid_out(pixels, Options()), Effects(shadow=Shadow(Kind.SOFT, 100)))
    alpha = made[..., 3].astype(int)
    assert alpha[62, 50] > alpha[17, 50] > 0
    assert (np.diff(alpha[61:, 50]) <= 0).all()
    assert made[65, 50, :3].max() == 0


def test_a_contact_shadow_lies_on_the_ground_and_nowhere_else() -> None:
    pixels = square(200, (60, 40, 140, 160))
    made = restyle(pixels, laid_out(pixels, Options()), Effects(shadow=Shadow(Kind.CONTACT, 100)))
    alpha = made[..., 3].astype(int)
    assert alpha[161, 100] > 100
    assert alpha[161, 100] > alpha[161, 40]
    assert alpha[:130, :55].max() == alpha[:38].max() == alpha[185:].max() == 0


def test_what_does_not_touch_the_ground_casts_no_contact_shadow() -> None:
    pixels = np.zeros((200, 300, 4), np.uint8)
    pixels[20:180, 40:100] = pixels[20:60, 200:280] = (200, 100, 50, 255)
    made = restyle(pixels, laid_out(pixels, Options()), Effects(shadow=Shadow(Kind.CONTACT, 100)))
    assert made[180:, 60, 3].max() > 100
    assert made[60:, 200:280, 3].max() < 3


def test_a_stronger_shadow_is_darker() -> None:
    pixels = square(100, (30, 20, 70, 60))
    layout = laid_out(pixels, Options())
    for kind in Kind:
        weak, strong = (
            restyle(pixels, layout, Effects(shadow=Shadow(kind, strength)))[..., 3].astype(int).sum()
            for strength in (20, 80)
        )
        assert strong > weak > square(100, (30, 20, 70, 60))[..., 3].astype(int).sum()


def test_an_empty_cut_out_has_no_shadow() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    made = restyle(pixels, laid_out(pixels, Options()), Effects(shadow=Shadow(Kind.SOFT, 100)))
    assert made.max() == 0


def test_colours_and_pictures_are_converted_to_the_cut_outs_profile() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    layout = laid_out(pixels, Options())
    backdrop = np.full((2, 2, 3), RED, np.uint8)
    filled = restyle(pixels, layout, Effects(fill=RED), SWAPPED)
    covered = restyle(pixels, layout, Effects(backdrop=backdrop), SWAPPED)
    own = restyle(pixels, layout, Effects(backdrop=backdrop, is_own=True), SWAPPED)
    assert filled[0, 0, 1] > filled[0, 0, 0]
    np.testing.assert_allclose(covered.astype(int), filled, atol=2)
    assert tuple(own[0, 0, :3]) == RED
    unreadable = restyle(pixels, layout, Effects(backdrop=backdrop), b"no profile")
    assert tuple(unreadable[0, 0, :3]) == RED


@given(st.integers(1, 400), st.integers(1, 400), options(), st.integers(50, 400))
def test_a_small_copy_is_laid_out_in_the_same_shape(
    width: int, height: int, options: Options, edge: int
) -> None:
    frame = width * 5, height * 5
    layout = lay_out(frame, Box(width, height, 3 * width, 2 * height), options)
    small = layout.scaled(frame, (width, height), edge)
    assert max(small.size) <= max(edge, 1)
    canvas = Box(0, 0, *small.size)
    assert canvas.left <= small.content.left < small.content.right <= canvas.right
    assert canvas.top <= small.content.top < small.content.bottom <= canvas.bottom
    assert 0 <= small.source.left < small.source.right <= width
    assert 0 <= small.source.top < small.source.bottom <= height
    scale = max(small.size) / max(layout.size)
    for one, other in zip(small.size, layout.size, strict=True):
        assert abs(one - max(1, other * scale)) <= 1


def saved(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_a_webp_keeps_alpha_and_profile() -> None:
    pixels = square()
    image = saved(encode.webp(pixels, 90, SWAPPED))
    np.testing.assert_array_equal(np.array(image)[..., 3], pixels[..., 3])
    assert image.info["icc_profile"] == SWAPPED
    assert saved(encode.webp(np.full((4, 4, 4), 255, np.uint8), 90)).mode == "RGB"


@pytest.mark.parametrize("low", [5, 40])
def test_quality_is_size(low: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 4), np.uint8)
    assert len(encode.webp(noise, low)) < len(encode.webp(noise, 95))


def test_an_opaque_png_has_no_alpha() -> None:
    image = saved(encode.opaque_png(np.full((4, 4, 4), 200, np.uint8), SWAPPED))
    assert (image.mode, image.info["icc_profile"]) == ("RGB", SWAPPED)
