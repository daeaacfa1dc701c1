"""Text from outside, and what no database and no answer can hold of it."""

import re

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and lone surrogates, which UTF-8 can't encode. JSON can spell both."""

ALLOWED = "text in UTF-8 without NUL"


def is_storable(text: str) -> bool:
    return not UNSTORABLE.search(text)
