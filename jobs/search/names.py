"""Find a part of a picture's name."""

import unicodedata
from functools import reduce
from operator import or_
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q
from django.db.models.lookups import IContains
from django.db.models.sql.compiler import SQLCompiler


def spellings(text: str) -> list[str]:
    """Return the text with composed and with decomposed accents, each in all cases that matter.

    A batch stores names composed; a program's call stores them as they came. Either database folds the case
    of ASCII letters. SQLite folds no other, and PostgreSQL each letter by itself, so that ``ß`` isn't ``SS``,
    nor ``ς`` ``σ``.
    """
    if text.isascii():
        return [text]
    cased = {case for each in _in_forms({text}) for case in _cases(each)}
    return sorted(_in_forms(cased))


def contains(text: str) -> Q:
    """Return the condition that a job's name has the text in it, in either case.

    It is what ``name_index.candidates`` looks up, so that a search finds old jobs as it finds new ones.
    """
    return reduce(or_, (Q(_Has(F("name"), each)) for each in spellings(text)))


def _in_forms(texts: set[str]) -> set[str]:
    composed = {unicodedata.normalize("NFC", text) for text in texts}
    return texts | composed | {unicodedata.normalize("NFD", text) for text in texts}


def _cases(text: str) -> set[str]:
    return {text, text.lower(), text.upper(), text.casefold(), text.upper().lower()}


class _Has(IContains):
    """Compare as the index of names does, which folds to lower case.

    In upper case, which Django has PostgreSQL compare in, more letters are alike: ``s`` and ``ſ``.
    """

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        name, names = compiler.compile(self.lhs)
        text, texts = self.process_rhs(compiler, connection)
        return f"LOWER({name}) LIKE LOWER({text})", [*names, *texts]
