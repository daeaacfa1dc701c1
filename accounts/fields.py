"""Let users and operators enter amounts of credits, and moments, in forms."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import get_format, number_format
from django.utils.translation import gettext_lazy as _

from accounts.ledger.money import DECIMALS, to_microcredits

MAX_DIGITS = 15  # stays below 2^53 micro-credits, the largest integer that every JSON parser keeps exact

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
    """Return the whole part with spaces between its groups, the decimal mark and the decimals."""
    marks = [mark for mark in digits if mark in ".,"]
    if not marks:
        return digits, "", ""
    mark = marks[-1]
    if marks.count(mark) > 1 or (len(marks) == 1 and _groups_thousands(digits, mark)):
        return digits.replace(mark, " "), "", ""
    whole, _mark, fraction = digits.rpartition(mark)
    return re.sub(r"[.,]", " ", whole), mark, fraction


def _groups_thousands(digits: str, mark: str) -> bool:
    # As in ``1,234`` in English. The spaces of ``1 234,567`` group its thousands already.
    is_grouped = " " not in digits and GROUPED.fullmatch(digits.replace(mark, " "))
    return mark == get_format("THOUSAND_SEPARATOR") and bool(is_grouped)


class CreditsField(forms.DecimalField):
    """Take credits with up to six decimals; the cleaned value is in micro-credits.

    A text field, because browsers parse a number field by their own language, not by the page's: Chromium
    silently drops the comma of ``1,5``, and the server gets 15.
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
        """Format an amount in the page's language, no matter if it comes from a row or from the URL."""
        is_amount = isinstance(value, Decimal) or PLAIN.fullmatch(str(value))
        return number_format(value, use_l10n=True) if is_amount else value

    def clean(self, value: Any) -> Any:
        credits_ = super().clean(value)
        return None if credits_ is None else to_microcredits(credits_)


class MomentField(forms.DateTimeField):
    """A moment, in this site's time zone if it comes without an offset.

    In the hour that clocks repeat in autumn, a time without an offset is the first of the two.
    """

    def to_python(self, value: Any) -> datetime | None:
        try:
            return super().to_python(value)
        except forms.ValidationError as error:
            return _first_of_two(error)


class SplitMomentField(forms.SplitDateTimeField):
    """A moment as the admin asks for it, by its day and its time; see ``MomentField``."""

    def compress(self, data_list: Any) -> datetime | None:
        try:
            return super().compress(data_list)
        except forms.ValidationError as error:
            return _first_of_two(error)


def _first_of_two(error: forms.ValidationError) -> datetime:
    """Return the first of the two moments that Django found, or raise the error of a time that isn't any."""
    if error.code != "ambiguous_timezone" or not error.params:
        raise error
    time: datetime = error.params["datetime"]
    first: datetime = timezone.make_aware(time)
    if timezone.make_naive(first.astimezone(UTC)) != time:
        text = _("There was no such time: clocks were put forward over it.")
        raise forms.ValidationError(text, code="no_such_time") from error
    return first
