"""Tolerant base64: accepts wrapped lines, the URL-safe alphabet and missing padding (§ 2 of the contract)."""

import base64
import re

URL_SAFE = str.maketrans("-_", "+/")
LINE_BREAK = re.compile(r"[\t\r\n\f\v]+(?: {2,})?")


def decode(text: str) -> bytes:
    """Decode base64 text to bytes; raise ValueError if it isn't base64."""
    letters = _resolve_spaces(LINE_BREAK.sub("", text.strip())).translate(URL_SAFE).rstrip("=")
    return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)


def _resolve_spaces(text: str) -> str:
    """Drop the spaces, or turn each back into the ``+`` that it was before form decoding.

    A client that forgets to escape ``+`` in an urlencoded form loses all of them: the server decodes each
    as a space. So a text that still has a ``+`` (or a ``-``, its URL-safe twin) lost none.
    """
    if " " not in text or "+" in text or "-" in text or _are_wrapped_lines(text.split()):
        return "".join(text.split())
    return text.replace(" ", "+")


def _are_wrapped_lines(words: list[str]) -> bool:
    """Return True if the words are lines of equal length that a shell joined with spaces."""
    *lines, last = words
    equally_long = len({len(line) for line in lines}) == 1 and len(last) <= len(lines[0])
    # Two words may be equally long by chance; then a whole number of base64 quanta has to decide.
    return equally_long and (len(lines) > 1 or sum(map(len, words)) % 4 == 0)
