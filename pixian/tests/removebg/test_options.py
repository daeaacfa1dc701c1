"""What a call of the drop-in asks for, and what is asked of the upstream for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.protocol.errors import Code, Refused
from pixian.protocol.margin import NO_MARGIN, Margin
from pixian.protocol.options import Format as UpstreamFormat
from pixian.protocol.options import Options
from pixian.removebg.options import SIZES, Channels, Format, RemovebgOptions

EVERY_FIELD = {
    "size": "HD",
    "format": "Zip",
    "channels": "alpha",
    "crop": "True",
    "crop_margin": "10px 5%",
    "bg_color": " 81d4fa77 ",
    "test": "true",
}
JSON = "application/json"
AXIOS = "application/json, text/plain, */*"


def refusal(**form: str) -> Refused:
    with pytest.raises(Refused) as caught:
        RemovebgOptions.parse(form)
    assert (caught.value.status, caught.value.code) == (400, Code.BAD_PARAMETER)
    return caught.value


def test_the_defaults_are_the_full_picture() -> None:
    assert RemovebgOptions.parse({}) == RemovebgOptions()
    assert RemovebgOptions().form() == {"output.format": "png"}


def test_every_parameter_is_read() -> None:
    assert RemovebgOptions.parse(EVERY_FIELD, JSON) == RemovebgOptions(
        max_pixels=4_000_000,
        format=Format.ZIP,
        channels=Channels.ALPHA,
        crop=True,
        margin=Margin.parse("10px 5%"),
        background_color=(0x81, 0xD4, 0xFA, 0x77),
        test=True,
        as_json=True,
    )


@pytest.mark.parametrize("nothing", ["", "  ", "undefined"])
def test_what_says_nothing_is_absent(nothing: str) -> None:
    assert RemovebgOptions.parse(dict.fromkeys(EVERY_FIELD, nothing)) == RemovebgOptions()


def test_what_is_not_known_here_is_ignored() -> None:
    ignored = ("type", "type_level", "roi", "scale", "position", "add_shadow", "semitransparency")
    images = ("bg_image_url", "bg_image_file", "shadow_method", "anything")
    assert RemovebgOptions.parse(dict.fromkeys((*ignored, *images), "%%%")) == RemovebgOptions()


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ("preview", 250_000),
        ("small", 250_000),
        ("regular", 250_000),
        ("medium", 1_500_000),
        ("hd", 4_000_000),
        ("4k", 25_000_000),
        ("full", 25_000_000),
        ("auto", 25_000_000),
        ("4K", 25_000_000),
    ],
)
def test_sizes_are_pixels(size: str, pixels: int) -> None:
    assert RemovebgOptions.parse({"size": size}).max_pixels == pixels


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("size", "huge", "auto, full, 4k, hd, medium, regular, small, preview"),
        ("size", "1000", "auto"),
        ("format", "jpeg", "auto, png, jpg, zip"),
        ("channels", "rgb", "rgba, alpha"),
        ("crop", "1", "true or false"),
        ("test", "maybe", "true or false"),
        ("bg_color", "#ffff0", "81d4fa77"),
    ],
)
def test_what_is_not_allowed_is_named(name: str, value: str, allowed: str) -> None:
    message = refusal(**{name: value}).message
    assert all(part in message for part in (name, repr(value), allowed))


def test_a_margin_counts_with_a_crop_alone() -> None:
    assert RemovebgOptions.parse({"crop_margin": "5%"}).margin == NO_MARGIN
    assert "crop_margin" in refusal(crop="true", crop_margin="-5px").message


@pytest.mark.parametrize(
    ("accept", "as_json"),
    [
        (JSON, True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain, application/json", True),
        ("", False),
        ("*/*", False),
        ("image/*", False),
        ("image/png,application/json", False),
        (AXIOS, False),
        ("application/json, image/*, */*", False),
        ("application/jsonx", False),
    ],
)
def test_a_client_that_takes_pictures_gets_one(accept: str, as_json: bool) -> None:
    """axios names JSON first in every call, and its users write what comes into a file."""
    assert RemovebgOptions.parse({}, accept).as_json is as_json


def test_only_what_the_upstream_has_to_do_is_asked_of_it() -> None:
    """A colour, the alpha alone, a ZIP and a JPG are made here, of the same one call."""
    assert RemovebgOptions.parse(EVERY_FIELD).form() == {
        "output.format": "png",
        "max_pixels": "4000000",
        "result.crop_to_foreground": "true",
        "result.margin": "10px 5% 10px 5%",
        "test": "true",
    }
    here = {"format": "jpg", "channels": "alpha", "bg_color": "fff", "size": "full"}
    assert RemovebgOptions.parse(here).form() == {"output.format": "png"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.sampled_from(list(SIZES)),
            "format": st.sampled_from(Format),
            "channels": st.sampled_from(Channels),
            "crop": st.sampled_from(["true", "false"]),
            "crop_margin": st.sampled_from(["0", "5%", "1px 2.5% 3px", "500px"]),
            "bg_color": st.sampled_from(["fff", "#1234", "tomato"]),
            "test": st.sampled_from(["true", "false"]),
        },
    )
)
def test_the_upstream_understands_what_it_is_asked(form: dict[str, str]) -> None:
    wanted = RemovebgOptions.parse(form)
    options = Options.parse(wanted.form())
    assert (options.format, options.background_color) == (UpstreamFormat.PNG, None)
    assert (options.max_pixels, options.test) == (wanted.max_pixels, wanted.test)
    assert (options.crop_to_foreground, options.margin) == (wanted.crop, wanted.margin)
