"""Amounts: integers in micro-credits inside, credits with up to six decimals at the edges."""

from decimal import Decimal

from django.utils.formats import number_format

MICROCREDITS = 1_000_000
DECIMALS = 6


def to_microcredits(credits_: Decimal) -> int:
    """Micro-credits; raises ValueError for an amount finer than one."""
    micro = credits_ * MICROCREDITS
    if not micro.is_finite() or micro != micro.to_integral_value():
        raise ValueError(f"{credits_} has more than {DECIMALS} decimals")
    return int(micro)


def to_credits(microcredits: int) -> Decimal:
    """Credits without trailing zeros: 1250000 → 1.25."""
    amount = Decimal(microcredits) / MICROCREDITS
    whole = amount.to_integral_value()
    return whole if amount == whole else amount.normalize()


def display(microcredits: int) -> str:
    """Credits as the reader's language writes them: ``1,234.5`` or ``1 234,5``."""
    return number_format(to_credits(microcredits), force_grouping=True)
