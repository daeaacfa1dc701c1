"""Text from clients, and the characters that can't be stored or sent back."""

import re

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and lone surrogates, which UTF-8 can't encode. JSON can carry both."""

ALLOWED = "text in UTF-8 without NUL"


def is_storable(text: str) -> bool:
    return not UNSTORABLE.search(text)
