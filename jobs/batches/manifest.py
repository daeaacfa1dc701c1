"""List a download's files with their sizes, credits and hashes, as CSV that a spreadsheet and a program read.

The columns and values are the same in every language, except for a problem's text, which is for people.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accounts import spreadsheet
from accounts.ledger.money import to_credits

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
    return spreadsheet.chunks(COLUMNS, map(_cells, lines))


def _cells(line: Line) -> Iterator[str]:
    yield from map(spreadsheet.neutral, (line.file, line.original, line.folder, line.state, line.problem))
    yield from ("" if number is None else str(number) for number in (line.width, line.height, line.bytes))
    yield "" if line.credits_ is None else f"{to_credits(line.credits_):f}"
    yield from (line.verdict, line.sha256)
