"""From the upstream's cut-out to the drop-in's answer."""

import base64
import io
import json
import zipfile
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.imaging.encode import png
from pixian.removebg import response as module
from pixian.removebg.options import SIZES, Channels, Format, RemovebgOptions
from pixian.removebg.response import DropInResponse, build_response
from pixian.tests.imaging.test_compose import SRGB, SWAPPED, cut_outs

RED, BLUE, NOTHING = (255, 0, 0, 255), (0, 0, 255, 128), (0, 0, 0, 0)
SIZE = (24, 16)
OPAQUE_WHITE, HALF_WHITE = (255, 255, 255, 255), (255, 255, 255, 128)


def cut_out(box: tuple[int, int, int, int] = (8, 0, 24, 16)) -> Pixels:
    """24 × 16: the left third is empty, the middle half transparent blue, the rest red."""
    pixels = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = BLUE
    pixels[top:bottom, 16:right] = RED
    return pixels


def stored(pixels: Pixels, profile: bytes | None = None) -> bytes:
    """As the upstream writes it."""
    return png(np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]), profile)


def made(
    pixels: Pixels | None = None,
    upstream_headers: dict[str, str] | None = None,
    uploaded: tuple[int, int] = SIZE,
    profile: bytes | None = None,
    **options: Any,
) -> DropInResponse:
    content = stored(cut_out() if pixels is None else pixels, profile)
    return build_response(RemovebgOptions(**options), io.BytesIO(content), upstream_headers or {}, uploaded)


def opened(answer: DropInResponse) -> Image.Image:
    return Image.open(io.BytesIO(answer.body))


def parts(answer: DropInResponse) -> dict[str, Image.Image]:
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


def test_the_upstreams_png_goes_out_as_it_came() -> None:
    answer = made()
    assert answer.body == stored(cut_out())
    assert answer.headers == {
        "Content-Type": "image/png",
        "X-Type": "other",
        "X-Width": "24",
        "X-Height": "16",
        "X-Foreground-Top": "0",
        "X-Foreground-Left": "8",
        "X-Foreground-Width": "16",
        "X-Foreground-Height": "16",
    }


@pytest.mark.parametrize(
    ("options", "opaque", "kind"),
    [
        ({}, False, "PNG"),
        ({}, True, "JPEG"),
        ({"format": Format.PNG}, True, "PNG"),
        ({"format": Format.JPG}, False, "JPEG"),
        ({"background_color": OPAQUE_WHITE}, False, "JPEG"),
        ({"background_color": HALF_WHITE}, False, "PNG"),
        ({"background_color": HALF_WHITE}, True, "JPEG"),
        ({"background_color": OPAQUE_WHITE, "format": Format.PNG}, False, "PNG"),
        ({"channels": Channels.ALPHA}, False, "PNG"),
        ({"channels": Channels.ALPHA, "background_color": OPAQUE_WHITE}, False, "PNG"),
        ({"channels": Channels.ALPHA}, True, "JPEG"),
        ({"channels": Channels.ALPHA, "format": Format.JPG}, False, "JPEG"),
    ],
)
def test_auto_is_a_png_where_something_is_transparent(
    options: dict[str, Any], opaque: bool, kind: str
) -> None:
    pixels = cut_out()
    if opaque:
        pixels[..., 3] = 255
    answer = made(pixels, **options)
    assert opened(answer).format == kind
    assert answer.headers["Content-Type"] == f"image/{kind.lower()}"


def test_a_colour_lies_behind() -> None:
    image = opened(made(background_color=HALF_WHITE)).convert("RGBA")
    assert image.getpixel((0, 0)) == HALF_WHITE
    assert image.getpixel((20, 0)) == RED
    assert image.getpixel((10, 0)) == (85, 85, 255, 192)


def test_a_jpg_of_something_transparent_is_white_behind() -> None:
    image = opened(made(format=Format.JPG))
    assert image.mode == "RGB"
    assert min(image.getpixel((3, 3))) > 250  # type: ignore[arg-type]
    faint = opened(made(format=Format.JPG, background_color=(0, 0, 0, 51))).getpixel((3, 3))
    assert faint == pytest.approx((204, 204, 204), abs=3)


def test_the_alpha_alone_is_grey_whatever_the_colour() -> None:
    for color in (None, OPAQUE_WHITE):
        image = opened(made(channels=Channels.ALPHA, format=Format.PNG, background_color=color))
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), cut_out()[..., 3])


def test_a_zip_has_the_colour_and_the_alpha() -> None:
    answer = made(format=Format.ZIP)
    assert answer.headers["Content-Type"] == "application/zip"
    found = parts(answer)
    assert list(found) == ["color.jpg", "alpha.png"]
    color, alpha = found.values()
    assert (color.format, color.mode, alpha.format, alpha.mode) == ("JPEG", "RGB", "PNG", "L")
    assert color.size == alpha.size == SIZE
    np.testing.assert_array_equal(np.asarray(alpha), cut_out()[..., 3])
    assert np.asarray(color)[:, :7].max() < 40
    assert np.asarray(color)[4, 12].tolist() == pytest.approx([0, 0, 255], abs=40)  # straight


def test_colours_hidden_by_an_upstream_stay_hidden_in_a_zip() -> None:
    pixels = cut_out()
    pixels[:, :8, :3] = 200
    assert np.asarray(parts(made(pixels, format=Format.ZIP))["color.jpg"])[:, :7].max() < 40


def test_a_zip_with_a_colour_is_that_picture_in_two_parts() -> None:
    alpha = parts(made(format=Format.ZIP, background_color=HALF_WHITE))["alpha.png"]
    assert [alpha.getpixel((x, 0)) for x in (0, 10, 20)] == [128, 192, 255]


def test_a_zip_is_stored_at_a_fixed_time_and_can_be_read_by_its_owner() -> None:
    with zipfile.ZipFile(io.BytesIO(made(format=Format.ZIP).body)) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert datetime(*info.date_time).year == 1980  # noqa: DTZ001 - ZIP knows no zones
            assert info.external_attr >> 16 & 0o400


def test_json_carries_the_picture_and_its_place() -> None:
    plain, answer = made(), made(as_json=True)
    assert answer.headers == plain.headers | {"Content-Type": "application/json"}
    assert json.loads(answer.body) == {
        "data": {
            "result_b64": base64.b64encode(plain.body).decode(),
            "foreground_top": 0,
            "foreground_left": 8,
            "foreground_width": 16,
            "foreground_height": 16,
        }
    }


def test_json_carries_a_zip_too() -> None:
    data = json.loads(made(as_json=True, format=Format.ZIP).body)["data"]
    assert base64.b64decode(data["result_b64"]) == made(format=Format.ZIP).body


def test_the_foregrounds_place_is_that_in_the_result() -> None:
    headers = made(cut_out((8, 3, 21, 9)), background_color=OPAQUE_WHITE).headers
    sides = [headers[f"X-Foreground-{side}"] for side in ("Top", "Left", "Width", "Height")]
    assert sides == ["3", "8", "13", "6"]


def test_nothing_found_is_a_picture_all_the_same() -> None:
    answer = made(np.zeros((4, 6, 4), np.uint8))
    assert opened(answer).size == (6, 4)
    assert {answer.headers[f"X-Foreground-{side}"] for side in ("Top", "Left", "Width", "Height")} == {"0"}


@pytest.mark.parametrize(
    ("size", "uploaded", "most"),
    [
        ("preview", (500, 500), None),
        ("preview", (1000, 500), ("1000", "500")),
        ("full", (5000, 5000), None),
        ("full", (6000, 5000), ("5477", "4564")),
        ("hd", (6000, 5000), ("5477", "4564")),
    ],
)
def test_a_shrunk_result_tells_how_large_it_could_be(
    size: str, uploaded: tuple[int, int], most: tuple[str, str] | None
) -> None:
    headers = made(uploaded=uploaded, max_pixels=SIZES[size]).headers
    found = headers.get("X-Max-Width"), headers.get("X-Max-Height")
    assert found == (most or (None, None))


@pytest.mark.parametrize(
    ("charged", "expected"),
    [
        ("1.000000", "1"),
        ("0.250000", "0.25"),
        ("10.500000", "10.5"),
        ("100", "100"),
        ("0.000000", "0"),
        ("0", "0"),
        ("10.000000", "10"),
        ("1e1", "1e1"),  # no plain decimal: as it came
        ("0.000001", "0.000001"),
        ("0.0000001", "0.0000001"),  # finer than the books go: as it came
        ("a lot", "a lot"),
    ],
)
def test_charges_have_no_trailing_zeros(charged: str, expected: str) -> None:
    headers = made(upstream_headers={"X-Credits-Charged": charged, "X-Input-Size": "1 1"}).headers
    assert headers["X-Credits-Charged"] == expected
    assert "X-Input-Size" not in headers
    assert "X-Credits-Calculated" not in headers


def test_a_test_tells_what_it_would_cost() -> None:
    upstream_headers = {"X-Credits-Charged": "0.000000", "X-Credits-Calculated": "0.384000"}
    headers = made(upstream_headers=upstream_headers).headers
    assert (headers["X-Credits-Charged"], headers["X-Credits-Calculated"]) == ("0", "0.384")


@pytest.mark.parametrize("options", [{"background_color": HALF_WHITE}, {"format": Format.JPG}])
def test_the_profile_stays(options: dict[str, Any]) -> None:
    assert opened(made(profile=SRGB, **options)).info["icc_profile"] == SRGB


def test_a_colour_is_converted_to_the_pictures_space() -> None:
    image = opened(made(profile=SWAPPED, background_color=(255, 0, 0, 255), format=Format.PNG)).convert(
        "RGBA"
    )
    assert image.getpixel((0, 0)) == (0, 255, 0, 255)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P"])
def test_an_upstream_may_write_its_png_in_any_mode(mode: str) -> None:
    file = io.BytesIO()
    Image.new("L", SIZE, 77).convert(mode).save(file, "PNG")
    answer = build_response(RemovebgOptions(), file, {}, SIZE)
    assert opened(answer).format == "JPEG"
    assert opened(answer).convert("RGB").getpixel((0, 0)) == (77, 77, 77)


@given(
    cut_outs(),
    st.sampled_from(Format),
    st.sampled_from(Channels),
    st.sampled_from([None, OPAQUE_WHITE, HALF_WHITE]),
    st.booleans(),
)
def test_the_same_is_made_each_time(
    pixels: Pixels, kind: Format, channels: Channels, color: Any, as_json: bool
) -> None:
    options = {"format": kind, "channels": channels, "background_color": color, "as_json": as_json}
    assert made(pixels, **options) == made(pixels, **options)


def test_the_clock_is_what_would_make_two_archives_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the time of day in them, they do."""
    first = made(format=Format.ZIP)
    monkeypatch.setattr(module, "ZIP_EPOCH", datetime(2026, 1, 2, 3, 4, 6).timetuple()[:6])  # noqa: DTZ001
    assert made(format=Format.ZIP) != first
