import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixian.imaging import decode
from pixian.imaging.convert import eight_bit, rgba, shrunk, working_copy
from pixian.imaging.orientation import UPRIGHT, orientation, upright

RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def reopened(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, **options)
    opened, _header = decode.open_picture(file)
    decode.decode(opened)
    return opened


def as_rgba(image: Image.Image) -> np.ndarray[Any, np.dtype[np.int64]]:
    return rgba(eight_bit(image)).astype(int)


def test_rgb_comes_out_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 7, 3), np.uint8)

    pixels = as_rgba(reopened(Image.fromarray(noise), "PNG"))

    np.testing.assert_array_equal(pixels[..., :3], noise)
    assert pixels[..., 3].min() == 255


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16")])
def test_16_bit_grey_keeps_its_range(kind: str, mode: str) -> None:
    image = reopened(Image.fromarray(RAMP), kind)
    assert image.mode == mode

    np.testing.assert_array_equal(as_rgba(image)[..., 1].ravel(), np.arange(256))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_white_are_stretched(dtype: type) -> None:
    pixels = as_rgba(reopened(Image.fromarray(RAMP.astype(dtype)), "TIFF"))

    assert (pixels[0, 0, 0], pixels[-1, -1, 0]) == (0, 255)
    assert as_rgba(Image.fromarray(np.full((4, 4), 7, dtype))).shape == (4, 4, 4)


def test_grey_bilevel_and_palette_have_their_colours() -> None:
    assert tuple(as_rgba(Image.new("L", (2, 2), 77))[0, 0]) == (77, 77, 77, 255)
    assert tuple(as_rgba(Image.new("1", (2, 2), 1))[0, 0]) == (255, 255, 255, 255)
    gif = reopened(Image.new("RGB", (2, 2), (200, 30, 40)).quantize(4), "GIF")
    assert gif.mode == "P"
    assert tuple(as_rgba(gif)[0, 0]) == (200, 30, 40, 255)


def test_transparency_of_every_kind_becomes_alpha() -> None:
    assert tuple(as_rgba(Image.new("LA", (2, 2), (9, 100)))[0, 0]) == (9, 9, 9, 100)
    assert as_rgba(reopened(Image.new("RGBA", (2, 2), (1, 2, 3, 50)), "PNG"))[0, 0, 3] == 50
    assert as_rgba(reopened(Image.new("RGB", (2, 2), (5, 5, 5)), "PNG", transparency=(5, 5, 5)))[0, 0, 3] == 0
    palette = reopened(Image.new("RGB", (2, 2)).quantize(4), "PNG", transparency=0)
    assert palette.mode == "P"
    assert as_rgba(palette)[0, 0, 3] == 0


def test_cmyk_becomes_rgb() -> None:
    red = as_rgba(reopened(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))[8, 8]

    assert red[0] > 240
    assert red[1:3].max() < 15


def profile_kept(image: Image.Image) -> bytes | None:
    return working_copy(image, 1, 1000).profile


def test_only_a_profile_for_rgb_stays() -> None:
    assert profile_kept(reopened(Image.new("RGB", (2, 2)), "PNG", icc_profile=SRGB)) == SRGB
    assert profile_kept(reopened(Image.new("L", (2, 2)), "PNG", icc_profile=SRGB)) == SRGB
    assert profile_kept(reopened(Image.new("CMYK", (2, 2)), "TIFF", icc_profile=SRGB)) is None
    assert profile_kept(reopened(Image.new("RGB", (2, 2)), "PNG")) is None
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    assert profile_kept(reopened(Image.new("L", (2, 2)), "PNG", icc_profile=grey)) is None
    broken = SRGB[:200]
    assert profile_kept(reopened(Image.new("RGB", (2, 2)), "PNG", icc_profile=broken)) is None


def test_a_broken_profile_is_no_obstacle() -> None:
    image = reopened(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF", icc_profile=b"x" * 200)

    assert as_rgba(image)[8, 8, 0] > 240


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_every_orientation_is_undone(number: int, kind: str) -> None:
    shown = np.zeros((40, 80), np.uint8)
    shown[:20, :40] = 250
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(number, number)
    stored = Image.fromarray(shown).convert("RGB")
    stored = stored.transpose(UPRIGHT[undo]) if undo in UPRIGHT else stored
    exif = Image.Exif()
    exif[0x0112] = number

    image = reopened(stored, kind, exif=exif)
    assert orientation(image) == number
    turned = upright(image, number)

    assert turned.size == (80, 40)
    assert np.abs(as_rgba(turned)[..., 0] - shown).mean() < 5


def test_shrinking_keeps_the_shape_and_stays_below() -> None:
    assert shrunk(Image.new("RGB", (400, 300)), 30_000).size == (200, 150)
    assert shrunk(Image.new("RGB", (400, 300)), 120_000).size == (400, 300)
    assert shrunk(Image.new("P", (399, 301)), 100).size == (11, 8)


def test_hidden_colours_do_not_bleed_while_shrinking() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :31] = (255, 255, 255, 255)

    small = np.asarray(shrunk(Image.fromarray(pixels), 1024))

    assert small[small[..., 3] > 8][:, :3].min() > 240
