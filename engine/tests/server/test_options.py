"""Each option of § 2 of the contract over HTTP, on a real photo."""

import io
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.tests.conftest import REMOVE, photo, refusal, upload
from pixian.imaging import delta_png
from pixian.imaging.compose import foreground_box

COFFEE = photo("coffee")
ORIGINAL = np.asarray(Image.open(io.BytesIO(COFFEE)))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def call(
    http: httpx.Client, options: Mapping[str, str] | None = None, content: bytes = COFFEE
) -> httpx.Response:
    return http.post(REMOVE, files=upload(content), data=options)


def picture(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    assert answer.headers["Content-Type"] == Image.MIME[str(image.format)]
    assert answer.headers["X-Result-Size"] == f"{image.width} {image.height}"
    assert answer.headers["X-Input-Size"] == "600 400"
    return image


def pixels(answer: httpx.Response) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(picture(answer))


@pytest.fixture
def plain(http: httpx.Client) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return pixels(call(http))


def test_a_colour_makes_a_jpeg(http: httpx.Client) -> None:
    image = picture(call(http, {"background.color": "#00FF00"}))

    assert (image.format, image.mode) == ("JPEG", "RGB")
    red, green, blue = np.asarray(image)[3, 3].astype(int)
    assert (red < 4, green > 251, blue < 4) == (True, True, True)


def test_a_png_may_have_a_colour_and_is_exact(http: httpx.Client, plain: Any) -> None:
    image = picture(call(http, {"background.color": "#00ff00", "output.format": "png"}))

    alpha = plain[..., 3:].astype(int)
    expected = np.rint((plain[..., :3] * alpha + np.array((0, 255, 0)) * (255 - alpha)) / 255)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(image, expected)


def test_a_jpeg_without_a_colour_is_white(http: httpx.Client) -> None:
    assert pixels(call(http, {"output.format": "jpeg"}))[3, 3].min() > 251


def test_quality_counts(http: httpx.Client) -> None:
    low, usual, high = (
        len(call(http, {"output.format": "jpeg", **quality}).content)
        for quality in ({"output.jpeg_quality": "20"}, {}, {"output.jpeg_quality": "95"})
    )
    assert low < usual < high


def test_a_crop_is_the_box_of_the_foreground(http: httpx.Client, plain: Any) -> None:
    box = foreground_box(plain)
    assert box is not None

    cropped = pixels(call(http, {"result.crop_to_foreground": "TRUE"}))

    np.testing.assert_array_equal(cropped, plain[box.top : box.bottom, box.left : box.right])


def test_a_margin_is_added(http: httpx.Client, plain: Any) -> None:
    made = pixels(call(http, {"result.margin": "10px 10% 0 5%"}))

    assert made.shape == (410, 690, 4)
    np.testing.assert_array_equal(made[10:, 30:630], plain)
    assert made[:10].max() == made[:, :30].max() == made[:, 630:].max() == 0


@pytest.mark.parametrize(("alignment", "top"), [("top", 50), ("bottom", 250), ("", 150)])
def test_a_target_size_is_filled_inside_its_margin(http: httpx.Client, alignment: str, top: int) -> None:
    options = {"result.target_size": "400 500", "result.margin": "50px"}
    options["result.vertical_alignment"] = alignment

    made = pixels(call(http, {"result.crop_to_foreground": "true", **options}))

    box = foreground_box(made)
    assert made.shape == (500, 400, 4)
    assert box is not None
    assert abs(box.width - 300) <= 1
    within = (500 - 100 - box.height) / 200 * (top - 50) + 50
    assert abs(box.top - within) <= 2


def test_a_profile_comes_along_in_every_format(http: httpx.Client) -> None:
    file = io.BytesIO()
    Image.fromarray(ORIGINAL).save(file, "PNG", icc_profile=SRGB)

    for kind in ("png", "jpeg", "delta_png"):
        image = picture(call(http, {"output.format": kind}, file.getvalue()))
        assert image.info["icc_profile"] == SRGB


class TestDelta:
    def test_it_gives_the_plain_cut_out_back(self, http: httpx.Client, plain: Any) -> None:
        answer = call(http, {"output.format": "delta_png"})

        assert picture(answer).mode == "RGBA"
        np.testing.assert_array_equal(delta_png.decode(ORIGINAL, answer.content), plain)
        assert len(answer.content) < 0.27 * len(call(http).content)

    def test_it_ignores_what_would_change_its_frame(self, http: httpx.Client) -> None:
        ignored = {
            "background.color": "#ff0000",
            "result.crop_to_foreground": "true",
            "result.margin": "99999px",
            "result.vertical_alignment": "top",
        }
        delta = call(http, {"output.format": "delta_png", **ignored})

        assert delta.content == call(http, {"output.format": "delta_png"}).content

    def test_of_a_test_has_its_mark(self, http: httpx.Client) -> None:
        delta = call(http, {"output.format": "delta_png", "test": "true"}).content
        decoded = delta_png.decode(ORIGINAL, delta)

        marked = decoded[..., 3] == 254
        assert 0.02 < (marked & (decoded[..., :3] != ORIGINAL).any(axis=2)).mean() < 0.5
        whole = decoded[..., 3] == 255
        np.testing.assert_array_equal(decoded[whole][:, :3], ORIGINAL[whole])


@pytest.mark.parametrize(
    "options",
    [
        {"result.crop_to_foreground": "true"},
        {"background.color": "#808080", "output.format": "png"},
        {"result.crop_to_foreground": "true", "result.target_size": "1000 600"},
    ],
)
def test_no_option_takes_the_mark_of_a_test_away(http: httpx.Client, options: dict[str, str]) -> None:
    clean, marked = (
        np.asarray(picture(call(http, {"test": test, **options})).convert("RGBA")).astype(int)
        for test in ("false", "true")
    )
    changed = np.abs(clean - marked).max(axis=2) > 20
    middle, centre = (side // 2 for side in changed.shape)
    quarters = [changed[:middle, :centre], changed[:middle, centre:], changed[middle:, :centre]]
    assert min(quarter.mean() for quarter in [*quarters, changed[middle:, centre:]]) > 0.01


def test_nothing_found_is_an_empty_frame(http: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (600, 400), "grey").save(file, "PNG")

    made = pixels(call(http, {"result.crop_to_foreground": "true"}, file.getvalue()))

    assert (made.shape, made.max()) == ((400, 600, 4), 0)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"result.target_size": "5001 5000"}, 1023),
        ({"result.margin": "5000px"}, 1023),
        ({"result.margin": "2500px", "result.crop_to_foreground": "true"}, 1023),
        ({"result.margin": "40000px 0", "output.format": "jpeg"}, 1023),
        ({"result.target_size": "300 65536"}, 1023),
        ({"result.margin": "50%", "result.target_size": "100 100"}, 1019),
        ({"background.color": "red"}, 1019),
        ({"output.format": "webp"}, 1019),
    ],
)
def test_what_cannot_be_is_refused(http: httpx.Client, options: dict[str, str], code: int) -> None:
    assert refusal(call(http, options)) == (400, code)
