import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.credits import UnreadableCreditsError, format_credits, parse_credits


@pytest.mark.parametrize(
    ("text", "microcredits"),
    [("1.000000", 1_000_000), ("0", 0), (" 0.25 ", 250_000), ("0.000001", 1), ("1e-3", 1000)],
)
def test_a_header_is_read_exactly(text: str, microcredits: int) -> None:
    assert parse_credits(text) == microcredits


@pytest.mark.parametrize("text", ["", "1,5", "free", "-1", "NaN", "Infinity", "0.0000001", "1.2345678"])
def test_what_cannot_be_booked_exactly_is_refused(text: str) -> None:
    with pytest.raises(UnreadableCreditsError):
        parse_credits(text)


@given(st.integers(0, 10**15))
def test_writing_and_reading_agree(microcredits: int) -> None:
    text = format_credits(microcredits)
    assert parse_credits(text) == microcredits
    assert len(text.partition(".")[2]) == 6
