"""Amounts of credits in forms, the operators' and the teams'."""

from typing import Any

from django import forms

from accounts.money import DECIMALS, to_microcredits

MAX_DIGITS = 15
"""Below 2^53 micro-credits, which every program that reads our JSON can count."""


class CreditsField(forms.DecimalField):
    """Credits with up to six decimals; its value is in micro-credits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=MAX_DIGITS, decimal_places=DECIMALS, **options)

    def clean(self, value: Any) -> Any:
        credits_ = super().clean(value)
        return None if credits_ is None else to_microcredits(credits_)
