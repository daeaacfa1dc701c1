"""What several commands take."""

import re
from argparse import ArgumentTypeError
from decimal import Decimal

from accounts.ledger.money import to_microcredits

# Decimal itself also reads 1_0, 1e3 and the digits of other scripts.
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]{1,6})?")


def credits_argument(text: str) -> int:
    """Micro-credits of ``12.5``."""
    if not PLAIN.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no number with at most six decimals")
    micro = to_microcredits(Decimal(text))
    if not 0 <= micro < 2**53:
        raise ArgumentTypeError(f"{text!r} is out of range")
    return micro
