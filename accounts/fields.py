"""Amounts of credits in forms, the operators' and the teams'."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.formats import get_format, number_format
from django.utils.translation import gettext_lazy as _

from accounts.ledger.money import DECIMALS, to_microcredits

MAX_DIGITS = 15
"""Below 2^53 micro-credits, which every program that reads our JSON can count."""

SPACES = re.compile(r"[ \u00a0\u2009\u202f]")
PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
GROUPED = re.compile(r"[1-9][0-9]{0,2}(\s[0-9]{3})+")


def plain_number(text: str) -> str:
    """Return a number as ``-1234.5``, typed with a comma or a point for its decimals.

    With both marks, the last one sets off the decimals. One alone does too, unless it groups thousands in the
    reader's language: ``1,234`` is 1234 in English and 1.234 in French. Raises ValueError for anything else.
    """
    sign, digits = re.fullmatch(r"([+\u2212-]?)(.*)", text.strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    whole, point, fraction = _split(SPACES.sub(" ", digits))
    if GROUPED.fullmatch(whole):
        whole = re.sub(r"\s", "", whole)
    plain = f"{whole}.{fraction}" if point else whole
    if not PLAIN.fullmatch(plain):
        raise ValueError(text)
    return f"-{plain}" if sign in ("-", "\u2212") else plain


def _split(digits: str) -> tuple[str, str, str]:
    """The whole part, its groups set apart by spaces; the mark of the decimals; the decimals."""
    marks = [mark for mark in digits if mark in ".,"]
    if not marks:
        return digits, "", ""
    mark = marks[-1]
    if marks.count(mark) > 1 or (len(marks) == 1 and _groups_thousands(digits, mark)):
        return digits.replace(mark, " "), "", ""
    whole, _mark, fraction = digits.rpartition(mark)
    return re.sub(r"[.,]", " ", whole), mark, fraction


def _groups_thousands(digits: str, mark: str) -> bool:
    """``1,234`` in English. (``1 234,567`` has its groups set apart already.)"""
    is_grouped = " " not in digits and GROUPED.fullmatch(digits.replace(mark, " "))
    return mark == get_format("THOUSAND_SEPARATOR") and bool(is_grouped)


class CreditsField(forms.DecimalField):
    """Credits with up to six decimals; its value is in micro-credits.

    A text field, since browsers read a number field by their own language and not by the page's: Chromium
    drops the comma of ``1,5`` without a word, and 15 arrives.
    """

    widget = forms.TextInput({"inputmode": "decimal", "autocomplete": "off"})
    default_error_messages = {  # noqa: RUF012 - as Django declares them
        "invalid": _("Enter an amount of credits such as 1.5 or 1,5."),
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=MAX_DIGITS, decimal_places=DECIMALS, **options)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip():
            try:
                value = plain_number(value)
            except ValueError as error:
                raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error
        return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Write an amount as the page's language does, whether it comes from a row or from an address."""
        is_amount = isinstance(value, Decimal) or PLAIN.fullmatch(str(value))
        return number_format(value, use_l10n=True) if is_amount else value

    def clean(self, value: Any) -> Any:
        credits_ = super().clean(value)
        return None if credits_ is None else to_microcredits(credits_)
