"""Write CSV that a spreadsheet opens without calculating anything, and that a program reads as well."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

BOM = "\ufeff"
"""Without it Excel takes UTF-8 for Windows-1252."""

# What a spreadsheet takes for the beginning of a formula. Source: OWASP, "CSV Injection".
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NEUTRAL = "'"


BLOCK = 32 * 1024
"""Bytes sent at once: a line by itself would be a packet by itself."""


def chunks(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[bytes]:
    """Yield a CSV in blocks, its headings first. Text that people wrote must be ``neutral``."""
    rows = (_row(cells).encode(errors="replace") for cells in lines)
    return in_blocks(chain([(BOM + _row(headings)).encode()], rows))


def in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join chunks to blocks of ``BLOCK`` bytes or a little more; the last one is what is left."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def neutral(cell: str) -> str:
    """Return the cell such that no spreadsheet calculates it, even behind spaces."""
    return NEUTRAL + cell if cell.lstrip(" \u00a0").startswith(FORMULA) or cell[:1] in FORMULA else cell


def _row(cells: Iterable[str]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerow(cells)
    return file.getvalue()
