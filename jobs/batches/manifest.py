"""List a download's files with their sizes, credits and hashes, as CSV that a spreadsheet and a program read.

The columns and values are the same in every language, except for a problem's text, which is for people.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accounts.ledger.money import to_credits

BOM = "\ufeff"
"""Without it Excel takes UTF-8 for Windows-1252."""

COLUMNS = (
    "file",
    "original",
    "folder",
    "state",
    "problem",
    "width",
    "height",
    "bytes",
    "credits",
    "verdict",
    "sha256",
)
# What a spreadsheet takes for the beginning of a formula. Source: OWASP, "CSV Injection".
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NEUTRAL = "'"


@dataclass(frozen=True)
class Line:
    """A file of a download, or a picture without one. credits_: in micro-credits, None while not known."""

    file: str
    original: str
    folder: str
    state: str
    problem: str = ""
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    credits_: int | None = None
    verdict: str = ""
    sha256: str = ""


def text(lines: Iterable[Line]) -> bytes:
    """Return the whole CSV."""
    return b"".join(chunks(lines))


def chunks(lines: Iterable[Line]) -> Iterator[bytes]:
    """Yield the CSV line by line, its headings first."""
    yield (BOM + _row(COLUMNS)).encode()
    for line in lines:
        yield _row(_cells(line)).encode(errors="replace")


def _cells(line: Line) -> Iterator[str]:
    yield from map(_neutral, (line.file, line.original, line.folder, line.state, line.problem))
    yield from ("" if number is None else str(number) for number in (line.width, line.height, line.bytes))
    yield "" if line.credits_ is None else f"{to_credits(line.credits_):f}"
    yield from (line.verdict, line.sha256)


def _neutral(cell: str) -> str:
    """Return the cell such that no spreadsheet calculates it, even behind spaces."""
    return NEUTRAL + cell if cell.lstrip(" \u00a0").startswith(FORMULA) or cell[:1] in FORMULA else cell


def _row(cells: Iterable[str]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerow(cells)
    return file.getvalue()
