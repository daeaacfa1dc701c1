from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.protocol.margin import Edges, Length, Margin, Unit

LENGTHS = st.builds(
    Length,
    st.decimals(0, 999_999_999, places=6).map(lambda value: value.normalize()),
    st.sampled_from(Unit),
)
MARGINS = st.builds(Margin, LENGTHS, LENGTHS, LENGTHS, LENGTHS)


def sides(text: str) -> list[str]:
    margin = Margin.parse(text)
    return [str(side) for side in (margin.top, margin.right, margin.bottom, margin.left)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1px", ["1px", "1px", "1px", "1px"]),
        ("1px 2%", ["1px", "2%", "1px", "2%"]),
        ("1px 2px 3px", ["1px", "2px", "3px", "2px"]),
        ("1px  2%\t3px 4.50%", ["1px", "2%", "3px", "4.50%"]),
        ("0", ["0px"] * 4),
        ("0 .5PX 00 0.0", ["0px", "0.5px", "0px", "0.0px"]),
    ],
)
def test_values_go_round_as_in_css(text: str, expected: list[str]) -> None:
    assert sides(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0.5",
        "-1px",
        "+1px",
        "-0",
        "1em",
        "1 px",
        "1,2px",
        "1px, 2px",
        "1px 2px 3px 4px 5px",
        "1e2px",
        "5.px",
        "٣px",
        "NaNpx",
        "1234567890px",
        "%",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the readers of fields catch this very kind
        Margin.parse(text)


@given(MARGINS)
def test_what_is_written_is_read(margin: Margin) -> None:
    assert Margin.parse(str(margin)) == margin


def test_percents_are_taken_per_axis_and_halves_are_rounded_up() -> None:
    assert Margin.parse("10% 5px 0.25% 2.5px").edges(70, 200) == Edges(20, 5, 1, 3)
    assert Margin.parse("10%").edges(70, 200) == Edges(20, 7, 20, 7)


@given(LENGTHS, st.integers(1, 30_000))
def test_a_length_is_rounded_to_the_nearest_pixel(length: Length, whole: int) -> None:
    exact = length.value * whole / 100 if length.unit is Unit.PERCENT else length.value
    assert abs(length.pixels(whole) - exact) <= Decimal("0.5")
