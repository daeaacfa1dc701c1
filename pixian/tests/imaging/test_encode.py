import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.imaging.encode import encode, jpeg, png, webp
from pixian.protocol.options import Format, Options
from pixian.tests.imaging.test_compose import SRGB


def picture(alpha: int = 255) -> Pixels:
    """A smooth one, which a JPEG hardly changes."""
    rows, columns = np.mgrid[0:60, 0:80]
    channels = [rows * 4, columns * 3, rows + columns, np.full_like(rows, alpha)]
    return np.dstack(channels).astype(np.uint8)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_transparency_is_written_as_rgba() -> None:
    image = opened(encode(picture(100), Options(), SRGB))
    assert (image.format, image.mode, image.info) == ("PNG", "RGBA", {"icc_profile": SRGB})
    np.testing.assert_array_equal(image, picture(100))


def test_a_filled_png_has_no_alpha() -> None:
    options = Options(background_color=(1, 2, 3), format=Format.PNG)
    image = opened(encode(picture(), options, SRGB))
    assert (image.mode, image.info) == ("RGB", {"icc_profile": SRGB})
    np.testing.assert_array_equal(image, picture()[..., :3])


def test_a_jpeg_keeps_colours_and_profile_and_nothing_else() -> None:
    image = opened(encode(picture(), Options(format=Format.JPEG), SRGB))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (80, 60))
    assert image.info["icc_profile"] == SRGB
    assert not {"exif", "xmp", "comment", "dpi"} & set(image.info)
    assert np.abs(np.asarray(image).astype(int) - picture()[..., :3]).mean() < 4


def test_a_profile_of_several_segments_arrives_whole() -> None:
    long = SRGB + bytes(200_000)
    assert opened(jpeg(picture(), 75, long)).info["icc_profile"] == long


@pytest.mark.parametrize(("quality", "most"), [(1, 1_000), (75, 1_500), (100, 5_000)])
def test_quality_costs_bytes(quality: int, most: int) -> None:
    options = Options(format=Format.JPEG, jpeg_quality=quality)
    assert most / 2 < len(encode(picture(), options)) < most


def test_colours_under_alpha_0_are_written_as_they_are() -> None:
    content = png(picture(0))
    np.testing.assert_array_equal(np.asarray(opened(content))[..., 2::-1], picture(0)[..., :3])


def test_what_png_cannot_hold_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"can.t be encoded as PNG"):
        png(np.zeros((1, 1_000_001, 4), np.uint8))


@pytest.mark.parametrize(("encoder", "longest"), [(jpeg, 65_500), (webp, 16_383)])
def test_a_side_that_a_format_cannot_hold_is_an_error(
    encoder: Callable[[Pixels, int], bytes], longest: int
) -> None:
    assert opened(encoder(np.zeros((1, longest, 4), np.uint8), 50)).width == longest
    with pytest.raises(ValueError, match="encod"):
        encoder(np.zeros((1, longest + 1, 4), np.uint8), 50)
