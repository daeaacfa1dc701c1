"""Credits as the wire writes them, and as integers: one credit is 10^6 micro-credits."""

import re

MICROCREDITS = 1_000_000
DECIMALS = 6
MAX_MICROCREDITS = 2**53

# A plain decimal, as every language's formatter writes a number: no sign, exponent, separator, blank inside
# or needless zero. Twenty decimals hold a double in full; what is longer was written by no formatter.
_PLAIN = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]{1,20}))?", re.ASCII)
_MOST_DIGITS = len(str(MAX_MICROCREDITS // MICROCREDITS))


class UnreadableCreditsError(ValueError):
    """A credit header that is no plain decimal. Guessing what it means would make the books differ from the
    upstream's, so a person looks at it."""


class TooManyCreditsError(UnreadableCreditsError):
    """A plain decimal that nobody's books can hold: 2^53 micro-credits or more."""


def parse_credits(text: str) -> int:
    """Micro-credits in a header such as ``1.250000``; raises UnreadableCreditsErrors.

    What is finer than a micro-credit is rounded half up (``is_finer`` tells).
    """
    whole, decimals = _split(text)
    if len(whole) > _MOST_DIGITS:
        raise TooManyCreditsError(text)
    micro = int(whole) * MICROCREDITS + int(decimals[:DECIMALS].ljust(DECIMALS, "0"))
    micro += decimals[DECIMALS : DECIMALS + 1] >= "5"
    if micro >= MAX_MICROCREDITS:
        raise TooManyCreditsError(text)
    return micro


def is_finer(text: str) -> bool:
    """Return True if the amount has a part below one micro-credit, so that it is rounded when it is read."""
    try:
        return bool(_split(text)[1][DECIMALS:].strip("0"))
    except UnreadableCreditsError:
        return False


def format_credits(microcredits: int) -> str:
    """The header's form of an amount: six decimals, ``1.250000``."""
    whole, fraction = divmod(microcredits, MICROCREDITS)
    return f"{whole}.{fraction:06d}"


def _split(text: str) -> tuple[str, str]:
    """The digits before and behind the point; raises UnreadableCreditsError."""
    plain = _PLAIN.fullmatch(text.strip(" \t"))
    if plain is None:
        raise UnreadableCreditsError(text)
    return plain[1], plain[2] or ""
