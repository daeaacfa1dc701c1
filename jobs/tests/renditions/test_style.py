"""Styles: what is said in two ways is one style, and what can't be says why."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.renditions.style import PLAIN, Background, Format, Shadow, Style, StyleError
from pixian.protocol.margin import Length, Margin, Unit
from pixian.protocol.options import Alignment

BACKDROP = "0123456789abcdef" * 4
LENGTHS = st.builds(Length, st.decimals(0, 40, places=2), st.sampled_from(Unit))
STYLES = st.builds(
    Style,
    background=st.sampled_from(Background),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    backdrop=st.just(BACKDROP),
    blur=st.integers(1, 100),
    shadow=st.sampled_from(Shadow),
    strength=st.integers(1, 100),
    crop=st.booleans(),
    margin=st.builds(Margin, *[LENGTHS] * 4),
    size=st.none() | st.tuples(st.integers(200, 3000), st.integers(200, 3000)),
    alignment=st.sampled_from(Alignment),
    format=st.sampled_from(Format),
    quality=st.integers(1, 100),
)


def test_the_plain_cut_out_is_a_style_of_its_own() -> None:
    assert PLAIN.canonical() == {}
    assert Style.parse({}) == Style.parse({"background": "", "margin": " "}) == PLAIN
    assert len(PLAIN.sha256) == 64


def test_only_what_takes_effect_is_written() -> None:
    style = Style.parse(
        {"color": "#102030", "blur": "9", "strength": 7, "alignment": "top", "quality": "3", "crop": "on"}
    )
    assert style.canonical() == {"crop": True}


def test_one_style_has_one_form() -> None:
    ways: list[dict[str, Any]] = [
        {"background": "COLOR", "color": "#F0F0F0", "size": "2000 × 1500", "margin": "7.50%", "crop": True},
        {"background": "color", "color": "#f0f0f0", "size": "2000x1500", "margin": "7.5% 7.5%", "crop": "on"},
        {"crop": "true", "margin": "7.5% 7.5% 7.5% 7.5%", "size": " 2000  1500 "}
        | {"color": "#f0f0f0", "background": "color", "format": "png", "blur": "3"},
    ]
    forms = {Style.parse(way).json() for way in ways}
    assert forms == {
        '{"background":"color","color":"#f0f0f0","crop":true,"margin":"7.5%","size":"2000 1500"}'
    }


def test_a_delta_png_is_the_plain_cut_out_as_in_the_contract() -> None:
    assert Style.parse({"format": "delta_png", "crop": "true", "size": "9 9"}).canonical() == {
        "format": "delta_png"
    }


@given(STYLES)
def test_the_canonical_form_is_the_style(style: Style) -> None:
    again = Style.from_json(style.json())
    assert again.json() == style.json()
    assert again.sha256 == style.sha256
    assert json.loads(style.json()) == style.canonical()
    assert list(style.canonical()) == sorted(style.canonical())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"colour": "#ffffff"}, "“colour” isn't part of a style."),
        ({"color": "white"}, "“white” isn't possible for “Colour”"),
        ({"background": "picture"}, "Choose a background picture."),
        ({"backdrop": "../../etc"}, "isn't possible for “Background picture”"),
        ({"size": "5001 5000"}, "more than 25 megapixels"),
        ({"size": "0 100"}, "isn't possible for “Size”"),
        ({"size": "٣ 100"}, "isn't possible for “Size”"),
        ({"size": "100 100", "margin": "50%"}, "leaves no room"),
        ({"size": "16384 10", "format": "webp"}, "A WebP has at most 16383 pixels a side."),
        ({"size": "100 65501", "format": "jpeg"}, "A JPEG has at most 65500 pixels a side."),
        ({"size": "65536 100"}, "A PNG has at most 65535 pixels a side."),
        ({"margin": "-3px"}, "isn't possible for “Margin”"),
        ({"quality": "101"}, "1–100"),
        ({"blur": 0}, "1–100"),
        ({"crop": "perhaps"}, "true, false"),
        ({"format": "gif"}, "png, jpeg, webp, delta_png"),
        ({"size": [1, 2]}, "can't be read"),
        ({"quality": 9.5}, "can't be read"),
        ({"margin": "1px " * 99}, "can't be read"),
    ],
)
def test_what_cannot_be_is_said(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleError) as error:
        Style.parse(mapping)
    assert message in error.value.message


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"color": NaN}', "[" * 100_000])
def test_what_is_no_style_is_refused(text: str) -> None:
    with pytest.raises(StyleError):
        Style.from_json(text)
