"""Read a list of old and new names, as spreadsheets write it."""

import csv
import io
from collections.abc import Iterator

from django.utils.translation import gettext as _

from jobs.batches.naming import PICTURE, NamingError, key
from pixian.protocol.text import is_storable

MAX_BYTES = 2 << 20
MAX_ROWS = 10_000
MAX_NAME = 255
DELIMITERS = ";,\t"
EXCEL = "sep="  # Excel's own first line, which names the delimiter

# Headings in lower case, in the languages of the interface and as shops export them.
OLD = {"old", "old name", "name", "file", "filename", "file name", "original", "image", "picture", "from"} | {
    "ancien", "ancien nom", "nom", "fichier", "nom du fichier", "photo", "de",
}  # fmt: skip
NEW = {"new", "new name", "sku", "to", "product", "code", "article", "reference"} | {
    "nouveau", "nouveau nom", "vers", "produit", "référence", "ref", "réf",
}  # fmt: skip


def read(content: bytes) -> dict[str, str]:
    """Return the new names by ``naming.key`` of the old ones; raise NamingError.

    content: CSV with two columns or more, in UTF-8, UTF-16 or Windows-1252, with or without headings.
    """
    if len(content) > MAX_BYTES:
        raise NamingError(_("The list is larger than %(limit)s MB.") % {"limit": MAX_BYTES >> 20})
    text = _text(content)
    try:
        rows = _rows(text) if is_storable(text) else None
    except (csv.Error, ValueError):  # Python 3.13 and later raise a ValueError for a quote as the delimiter
        rows = None
    if rows is None:
        raise NamingError(_("The list can't be read as CSV."))
    if not rows:
        raise NamingError(_("The list has no line with an old and a new name."))
    if len(rows) > MAX_ROWS:
        raise NamingError(_("The list has more than %(limit)s lines.") % {"limit": MAX_ROWS})
    return dict(_pairs(rows))


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _rows(text: str) -> list[list[str]]:
    """Return the rows that have two cells or more."""
    if text[: len(EXCEL)].lower() == EXCEL:
        first, _newline, text = text.partition("\n")
        return _split(text, first[len(EXCEL) : len(EXCEL) + 1].strip("\r") or ",")
    return max((_split(text, delimiter) for delimiter in DELIMITERS), key=_rank)


def _split(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = ([cell.strip() for cell in row] for row in reader)
    return [row for row in rows if len(row) > 1 and any(row)]


def _rank(rows: list[list[str]]) -> tuple[int, int]:
    """Tell how well a delimiter fits: a name may contain the others, such as ``shoe, red.jpg``."""
    return len(rows), sum(bool(PICTURE.search(row[0])) for row in rows)


def _pairs(rows: list[list[str]]) -> Iterator[tuple[str, str]]:
    headings = [cell.casefold() for cell in rows[0]]
    old = next((at for at, cell in enumerate(headings) if cell in OLD), None)
    new = next((at for at, cell in enumerate(headings) if cell in NEW and at != old), None)
    if old is None or new is None:
        old, new = 0, 1
    else:
        rows = rows[1:]
    for row in rows:
        was, becomes = (row[at][:MAX_NAME] if at < len(row) else "" for at in (old, new))
        if was and becomes:
            yield key(was.replace("\\", "/")), becomes
