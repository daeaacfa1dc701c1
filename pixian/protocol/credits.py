"""Credit amounts: parsing and formatting of the headers; integers count micro-credits, 10^-6 of a credit."""

import re

MICROCREDITS = 1_000_000
DECIMALS = 6
MAX_MICROCREDITS = 2**53

# A plain decimal number as any language formats it: no sign, exponent, thousands separator, inner blank or
# leading zero. Twenty decimals are enough for the full expansion that formatters print of a double.
_PLAIN = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]{1,20}))?", re.ASCII)
_MAX_DIGITS = len(str(MAX_MICROCREDITS // MICROCREDITS))


class UnreadableCreditsError(ValueError):
    """A credit header that isn't a plain decimal number.

    A guess at its meaning could make the books differ from the upstream's, so a person has to look at it.
    """


class TooManyCreditsError(UnreadableCreditsError):
    """An amount of 2^53 micro-credits or more, which the books can't hold."""


def parse_credits(text: str) -> int:
    """Return the micro-credits in a header such as ``1.250000``; raise UnreadableCreditsError.

    An amount finer than a micro-credit is rounded half up; ``is_finer`` tells if that happened.
    """
    whole, decimals = _split(text)
    # Checked before int(), which takes quadratic time for a very long text.
    if len(whole) > _MAX_DIGITS:
        raise TooManyCreditsError(text)
    micro = int(whole) * MICROCREDITS + int(decimals[:DECIMALS].ljust(DECIMALS, "0"))
    micro += decimals[DECIMALS : DECIMALS + 1] >= "5"
    if micro >= MAX_MICROCREDITS:
        raise TooManyCreditsError(text)
    return micro


def is_finer(text: str) -> bool:
    """Return True if the amount is finer than a micro-credit, so that ``parse_credits`` rounds it."""
    try:
        return bool(_split(text)[1][DECIMALS:].strip("0"))
    except UnreadableCreditsError:
        return False


def format_credits(microcredits: int) -> str:
    """Format an amount as the headers have it, with six decimals: ``1.250000``."""
    whole, fraction = divmod(microcredits, MICROCREDITS)
    return f"{whole}.{fraction:06d}"


def _split(text: str) -> tuple[str, str]:
    """Return the digits before and after the decimal point; raise UnreadableCreditsError."""
    plain = _PLAIN.fullmatch(text.strip(" \t"))
    if plain is None:
        raise UnreadableCreditsError(text)
    return plain[1], plain[2] or ""
