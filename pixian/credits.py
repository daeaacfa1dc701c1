"""Credits as the wire writes them, and as integers: one credit is 10^6 micro-credits."""

from decimal import Decimal

MICROCREDITS = 1_000_000
MAX_MICROCREDITS = 2**53


class UnreadableCreditsError(ValueError):
    """A credit header that is no plain number, is negative, or is finer than a micro-credit.

    Rounding it would make the books differ from the upstream's, so a person looks at it.
    """


def parse_credits(text: str) -> int:
    """Micro-credits in a header such as ``1.250000``; raises UnreadableCreditsError."""
    try:
        micro = Decimal(text.strip()) * MICROCREDITS
    except ArithmeticError as error:
        raise UnreadableCreditsError(text) from error
    if not micro.is_finite() or not 0 <= micro < MAX_MICROCREDITS or micro != micro.to_integral_value():
        raise UnreadableCreditsError(text)
    return int(micro)


def format_credits(microcredits: int) -> str:
    """The header's form of an amount: six decimals, ``1.250000``."""
    whole, fraction = divmod(microcredits, MICROCREDITS)
    return f"{whole}.{fraction:06d}"
