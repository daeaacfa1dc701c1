"""Find a part of a picture's name."""

import unicodedata
from functools import reduce
from operator import or_

from django.db.models import Q


def spellings(text: str) -> list[str]:
    """Return the text with composed and with decomposed accents.

    A batch stores names composed; a program's call stores them as they came.
    """
    return sorted({unicodedata.normalize(form, text) for form in ("NFC", "NFD")} | {text})


def contains(text: str) -> Q:
    """Return the condition that a job's name has the text in it, in either case.

    SQLite folds only the case of ASCII letters, so it gets the other ones both small and large.
    """
    cases = {
        cased for spelling in spellings(text) for cased in (spelling, spelling.lower(), spelling.upper())
    }
    wanted = {text} if text.isascii() else cases
    return reduce(or_, (Q(name__icontains=each) for each in sorted(wanted)))
