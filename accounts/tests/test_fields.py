"""Amounts of credits as people type them, in either spelling."""

import pytest
from django import forms
from django.test import Client
from django.utils.translation import override

from accounts.fields import CreditsField, plain_number
from accounts.models import Allowance
from accounts.tests.teams.team_pages import log_in, of, page, text
from conftest import World

pytestmark = pytest.mark.both_databases

SAME_IN_BOTH = [
    ("1,5", "1.5"),
    ("1.5", "1.5"),
    (" 12 ", "12"),
    ("1,234.5", "1234.5"),
    ("1.234,5", "1234.5"),
    ("1 234,5", "1234.5"),
    ("1\u00a0234.5", "1234.5"),
    ("1\u202f234\u202f567,891", "1234567.891"),
    ("1.234.567", "1234567"),
    ("0,500", "0.500"),
    ("1,0000", "1.0000"),
    (",5", ".5"),
    ("-1,5", "-1.5"),
    ("\u22122", "-2"),
]
NO_NUMBER = [
    "5.",
    "1 23",
    "1,2,3",
    "12,34.5",
    "1,2.3,4",
    "1..2",
    "1e3",
    "1_0",
    "\u0663",
    "NaN",
    "0x1",
    "1-",
    "",
    ",",
]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(("typed", "meant"), SAME_IN_BOTH)
def test_both_spellings_are_read(language: str, typed: str, meant: str) -> None:
    with override(language):
        assert plain_number(typed) == meant


@pytest.mark.parametrize(("language", "meant"), [("en", "1234"), ("fr", "1.234")])
def test_a_lone_comma_before_three_digits_is_read_by_the_language(language: str, meant: str) -> None:
    with override(language):
        assert plain_number("1,234") == meant


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("typed", NO_NUMBER)
def test_anything_else_is_no_number(language: str, typed: str) -> None:
    with override(language), pytest.raises(ValueError, match=r".*"):
        plain_number(typed)


class AmountForm(forms.Form):
    credits = CreditsField()


@pytest.mark.parametrize(("language", "written"), [("en", "1.5"), ("fr", "1,5")])
@pytest.mark.parametrize("amount", ["1.5", "1.500000"])
def test_an_amount_is_written_as_the_page_writes_it(language: str, written: str, amount: str) -> None:
    with override(language):
        assert f'value="{written}' in str(AmountForm(initial={"credits": amount})["credits"])


def test_what_someone_typed_is_kept() -> None:
    assert 'value="1e3"' in str(AmountForm({"credits": "1e3"})["credits"])


def test_a_comma_on_the_french_page_is_no_thousand(world: World, client: Client) -> None:
    log_in(client, "alice")
    address = page(world, "allowance", of(world.bob, world.team).pk)
    typed = {"credits": "1,5", "period": "month", "warn_percent": "80"}
    client.post(address, typed, headers={"Accept-Language": "fr"})
    assert Allowance.objects.get().limit_microcredits == 1_500_000
    shown = text(client.get(address, headers={"Accept-Language": "fr"}))
    assert 'value="1,5"' in shown
    # Browsers read a number field by their own language, and drop what that doesn't know.
    assert 'type="number"' not in shown
