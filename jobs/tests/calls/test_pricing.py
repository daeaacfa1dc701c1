"""Pixels → ceiling: rounded up, bounded by what is worked on, and never nothing; and a rate from a charge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.calls.pricing import band, ceiling, lowest_band, rate
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_PIXELS

PIXELS = st.integers(1, MAX_UPLOAD_PIXELS)
PRICES = st.integers(1, 10**9)


@pytest.mark.parametrize(
    ("pixels", "per_megapixel", "microcredits"),
    [
        (1_000_000, 1_000_000, 1_000_000),
        (451 * 300, 1_000_000, 135_300),
        (1, 1_000_000, 1),
        (1_000_001, 500_000, 500_001),  # half a micro-credit counts as one
        (1, 1, 1),
        (3, 333_333, 1),
        (25_000_000, 1_000_000, 25_000_000),
        (25_000_001, 1_000_000, 25_000_000),
        (32_000_000, 2_500_000, 62_500_000),
        (1_000_000, 0, 1),  # the ledger knows no hold of nothing
    ],
)
def test_the_ceiling(pixels: int, per_megapixel: int, microcredits: int) -> None:
    assert ceiling(pixels, per_megapixel) == microcredits


@given(PIXELS, PRICES)
def test_it_is_the_least_whole_number_that_covers_the_price(pixels: int, per_megapixel: int) -> None:
    exact = min(pixels, MAX_PROCESSED_PIXELS) * per_megapixel
    held = ceiling(pixels, per_megapixel)
    assert held >= 1
    assert (held - 1) * 10**6 < exact <= held * 10**6


@given(PIXELS, PIXELS, PRICES)
def test_a_larger_picture_never_costs_less(one: int, other: int, per_megapixel: int) -> None:
    small, large = sorted((one, other))
    assert ceiling(small, per_megapixel) <= ceiling(large, per_megapixel)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (1, 1),
        (2, 2),
        (3, 2),
        (4, 3),
        (1023, 10),
        (1024, 11),
        (999_999, 20),
        (1_048_576, 21),
        (12_000_000, 24),
        (25_000_000, 25),
        (32_000_000, 25),  # shrunk to 25 MP, and priced as such
    ],
)
def test_bands_are_each_twice_as_large_as_the_one_before(pixels: int, expected: int) -> None:
    assert (band(pixels), lowest_band(pixels)) == (expected, expected - 1)


@pytest.mark.parametrize(
    ("charged", "pixels", "per_megapixel"),
    [
        (1_000_000, 1_000_000, 1_000_000),
        (135_300, 451 * 300, 1_000_000),
        (1, 25_000_000, 1),  # rounded up
        (1, 3, 333_334),
        (0, 1_000_000, 0),
        (25_000_000, 32_000_000, 1_000_000),
        (250_000, 100, 2_500_000_000),  # a minimum charge
    ],
)
def test_the_rate_of_a_charge(charged: int, pixels: int, per_megapixel: int) -> None:
    assert rate(charged, pixels) == per_megapixel


@given(PIXELS, st.integers(0, 10**12))
def test_a_hold_by_the_rate_covers_the_charge_it_was_learned_from(pixels: int, charged: int) -> None:
    assert ceiling(pixels, rate(charged, pixels)) >= charged


@given(PIXELS, st.integers(1, 10**9))
def test_and_exceeds_it_by_less_than_a_micro_credit_a_megapixel(pixels: int, charged: int) -> None:
    assert ceiling(pixels, rate(charged, pixels)) <= charged + 25 + 1


@given(PIXELS, PIXELS)
def test_a_charge_says_nothing_about_pictures_four_times_as_large(one: int, other: int) -> None:
    small, large = sorted((one, other))
    if 4 * small <= min(large, MAX_PROCESSED_PIXELS):
        assert band(small) < lowest_band(large)
    if large <= 2 * small:  # but it does about one twice as large
        assert band(small) >= lowest_band(large)
