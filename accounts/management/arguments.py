"""What several commands take."""

from argparse import ArgumentTypeError
from decimal import Decimal

from accounts.money import to_microcredits


def credits_argument(text: str) -> int:
    """Micro-credits of ``12.5``."""
    try:
        micro = to_microcredits(Decimal(text))
    except (ArithmeticError, ValueError) as error:
        raise ArgumentTypeError(f"{text!r} is no number with at most six decimals") from error
    if not 0 <= micro < 2**53:
        raise ArgumentTypeError(f"{text!r} is out of range")
    return micro
