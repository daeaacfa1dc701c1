"""Pixels → ceiling: rounded up, bounded by what is worked on, and never nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.price import ceiling
from pixian.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_PIXELS

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
