"""Amounts at the edges: exact in both directions, and trimmed for readers of either language."""

from decimal import Decimal

import pytest
from django.utils import translation
from django.utils.translation import ngettext
from hypothesis import given
from hypothesis import strategies as st

from accounts.ledger.money import display, exact, for_plural, to_credits, to_microcredits

pytestmark = pytest.mark.both_databases

AMOUNTS = st.integers(-(10**16), 10**16)


@pytest.mark.parametrize(
    ("microcredits", "english", "french"),
    [
        (0, "0", "0"),
        (1_000_000, "1", "1"),
        (1_250_000, "1.25", "1,25"),
        (100_000_000, "100", "100"),
        (1_234_500_000, "1,234.5", "1\xa0234,5"),
        (1_000_000_000_000, "1,000,000", "1\xa0000\xa0000"),
        (-2_500_000, "-2.5", "-2,5"),
    ],
)
def test_credits_are_shown_as_the_language_writes_them(microcredits: int, english: str, french: str) -> None:
    with translation.override("en"):
        assert (display(microcredits), exact(microcredits)) == (english, english)
    with translation.override("fr"):
        assert (display(microcredits), exact(microcredits)) == (french, french)


@pytest.mark.parametrize(
    ("microcredits", "trimmed", "full"),
    [
        (1_234_567, "1.23", "1.234567"),
        (1_999_999, "2", "1.999999"),
        (338_250, "0.338", "0.33825"),
        (999_999, "1", "0.999999"),
        (12_345, "0.0123", "0.012345"),
        (1, "0.000001", "0.000001"),
        (-1_234_567, "-1.23", "-1.234567"),
        (1_234_567_891, "1,234.57", "1,234.567891"),
    ],
)
def test_what_does_not_matter_is_trimmed_and_exact_keeps_it(
    microcredits: int, trimmed: str, full: str
) -> None:
    assert (display(microcredits), exact(microcredits)) == (trimmed, full)


@pytest.mark.parametrize(
    ("microcredits", "english", "french"),
    [
        (0, "plural", "singular"),
        (500_000, "plural", "singular"),
        (999_999, "singular", "singular"),
        (1_000_000, "singular", "singular"),
        (1_002_100, "singular", "singular"),
        (1_500_000, "plural", "singular"),
        (2_000_000, "plural", "plural"),
        (10**15, "plural", "plural"),
    ],
)
def test_a_unit_agrees_with_its_amount_as_shown(microcredits: int, english: str, french: str) -> None:
    for language, form in (("en", english), ("fr", french)):
        with translation.override(language):
            unit = ngettext("%(count)s case", "%(count)s cases", for_plural(microcredits))
        assert unit.endswith("s") == (form == "plural"), language


@given(AMOUNTS)
def test_no_micro_credit_is_lost_on_the_way(microcredits: int) -> None:
    assert to_microcredits(to_credits(microcredits)) == microcredits
    assert Decimal(exact(microcredits).replace(",", "")) * 1_000_000 == microcredits


@given(AMOUNTS)
def test_trimming_is_off_by_less_than_a_hundredth(microcredits: int) -> None:
    shown = Decimal(display(microcredits).replace(",", ""))
    assert abs(shown - to_credits(microcredits)) <= abs(to_credits(microcredits)) / 100


@pytest.mark.parametrize("text", ["0.0000001", "1.1234567", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_whole_number_of_micro_credits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimals"):
        to_microcredits(Decimal(text))
