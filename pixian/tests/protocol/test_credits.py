from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.protocol.credits import (
    TooManyCreditsError,
    UnreadableCreditsError,
    format_credits,
    is_finer,
    parse_credits,
)


@pytest.mark.parametrize(
    ("text", "microcredits"),
    [
        ("1.000000", 1_000_000),
        ("0", 0),
        (" 0.25 ", 250_000),
        ("0.000001", 1),
        ("1", 1_000_000),
        ("0.30000000000000004", 300_000),
        ("9007199254.740991", 2**53 - 1),
    ],
)
def test_a_header_is_read_exactly(text: str, microcredits: int) -> None:
    assert parse_credits(text) == microcredits


@pytest.mark.parametrize(
    ("text", "microcredits"),
    [
        ("0.1234565", 123_457),
        ("0.12345649999999999999", 123_456),
        ("0.0000005", 1),
        ("0.0000004", 0),
        ("0.9999995", 1_000_000),
        ("1.2345678", 1_234_568),
        ("9007199254.7409909", 2**53 - 1),
        ("0.33333333333333331483", 333_333),
    ],
)
def test_what_is_finer_than_a_micro_credit_is_rounded_half_up(text: str, microcredits: int) -> None:
    assert (parse_credits(text), is_finer(text)) == (microcredits, True)


@pytest.mark.parametrize("text", ["1.000000", "1.00000000", "0", "0.123456"])
def test_noughts_beyond_a_micro_credit_are_no_rounding(text: str) -> None:
    assert not is_finer(text)


UNREADABLE = [
    *("", " ", "free", "NaN", "nan", "sNaN", "Infinity", "inf", "None", "null", "true"),
    *("-1", "+1", "-0", "−1", "1_0", "1e3", "1E3", "1e-3", "1e999999", "0x10", "1f", "1d", "1L"),
    *("1,5", "1,000", "1 000", "1 0", "1, 1", "1.000000, 1.000000", "1;2", "1.2.3", "$1", "1 credits"),
    *("00", "01", "0" * 30, "007.5", ".5", "5.", ".", "0." + "0" * 21, "1." + "0" * 1000),
    *("٣", "１", "²", "½", "Ⅷ", "1\u00a0", "\ufeff1", "1\n", "1\x00", "१"),
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(UnreadableCreditsError) as caught:
        parse_credits(text)
    assert not isinstance(caught.value, TooManyCreditsError)


@pytest.mark.parametrize(
    "text", ["9007199254.740992", "9007199254.7409915", "9999999999", "1" + "0" * 18, "9" * 60_000]
)
def test_what_no_book_can_hold_is_told_apart(text: str) -> None:
    with pytest.raises(TooManyCreditsError):
        parse_credits(text)


@given(st.decimals(0, 10**9, places=12))
def test_rounding_agrees_with_the_decimal_module(amount: Decimal) -> None:
    expected = (amount * 10**6).quantize(Decimal(1), ROUND_HALF_UP)
    assert parse_credits(f"{amount:f}") == expected


@given(st.floats(0, 10**6, allow_subnormal=False))
def test_a_float_as_languages_print_it_is_read_or_refused_and_never_misread(amount: float) -> None:
    try:
        read = parse_credits(repr(amount))
    except UnreadableCreditsError:
        assert "e" in repr(amount)
    else:
        assert abs(read - amount * 10**6) <= 0.5 + amount * 1e-9


@given(st.integers(0, 10**15))
def test_writing_and_reading_agree(microcredits: int) -> None:
    text = format_credits(microcredits)
    assert parse_credits(text) == microcredits
    assert len(text.partition(".")[2]) == 6
