"""Convert amounts: integers in micro-credits inside, credits with up to six decimals at the edges."""

from decimal import Decimal

from django.utils.formats import number_format

from pixian.protocol.credits import DECIMALS, MICROCREDITS

__all__ = [
    "DECIMALS",
    "MICROCREDITS",
    "display",
    "exact",
    "for_plural",
    "rounded_up",
    "to_credits",
    "to_microcredits",
]

HUNDREDTH = MICROCREDITS // 100


def to_microcredits(credits_: Decimal) -> int:
    """Return micro-credits; raise ValueError for an amount finer than one."""
    micro = credits_ * MICROCREDITS
    if not micro.is_finite() or micro != micro.to_integral_value():
        raise ValueError(f"{credits_} has more than {DECIMALS} decimals")
    return int(micro)


def to_credits(microcredits: int) -> Decimal:
    """Return credits without trailing zeros: 1250000 → 1.25."""
    return _plain(Decimal(microcredits) / MICROCREDITS)


def exact(microcredits: int) -> str:
    """Return credits in full in the reader's notation: ``1,234.567891`` or ``1 234,567891``."""
    return number_format(to_credits(microcredits), force_grouping=True)


def display(microcredits: int) -> str:
    """Return credits rounded for reading: two decimals, or three digits below one credit."""
    amount = to_credits(microcredits)
    decimals = 2 if abs(amount) >= 1 or not amount else min(2 - amount.adjusted(), DECIMALS)
    return number_format(_plain(round(amount, decimals)), force_grouping=True)


def for_plural(microcredits: int) -> int:
    """Return the count by which ``ngettext`` says *1 credit*, *0.5 credits*, and in French *1,5 crédit*.

    A fraction would be cut down to a whole number, and *1.5* in English needs the plural.
    """
    amount = abs(microcredits)
    amount = round(amount, -4 if amount >= MICROCREDITS else -3)  # as ``display`` shows it
    return amount // MICROCREDITS if amount == MICROCREDITS or amount >= 2 * MICROCREDITS else 0


def rounded_up(microcredits: int) -> int:
    """Round up to a hundredth of a credit, for amounts to ask for: a part mustn't be lacking afterwards."""
    return -(-microcredits // HUNDREDTH) * HUNDREDTH


def _plain(amount: Decimal) -> Decimal:
    whole = amount.to_integral_value()  # normalize() would write 100 as 1E+2
    return whole if amount == whole else amount.normalize()
