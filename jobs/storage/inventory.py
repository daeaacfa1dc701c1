"""List the stored files, and tell which of them the database refers to."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Model, Q, QuerySet

from jobs.models import Attempt, Backdrop, Job, Rendition
from jobs.storage import files, interruptible
from jobs.storage.interruptible import Stop, unless_stopped
from jobs.storage.name_set import NameSet

NAMES_PER_QUERY = 300  # up to three values each; SQLite allows some 1,000 in a query
PREVIEW = ".webp"

COLUMNS: dict[type[Model], tuple[str, ...]] = {
    Job: ("source", "original", "result"),
    Rendition: ("file",),
    Backdrop: ("file",),
}
"""All columns that name a file. Jobs that show another one's result name the same files."""


def stored_names(folder: str = "") -> Iterator[str]:
    """Yield the names of all stored pictures, recursively.

    Hidden files and ``lost+found`` are left out: the spool, the quarantine, the instance's id, and what a
    file system keeps for itself.
    """
    # A bucket lists a thousand files at once, but each folder by itself, and each job has one.
    if objects := getattr(default_storage, "objects", None):
        yield from (row.name for row in objects() if _is_visible(row.name))
        return
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder was removed a moment ago
        return
    if not folder:
        folders, names = list(filter(_is_visible, folders)), list(filter(_is_visible, names))
    yield from (f"{folder}/{name}" if folder else name for name in names)
    for below in folders:
        yield from stored_names(f"{folder}/{below}" if folder else below)


def referenced(names: Iterable[str]) -> set[str]:
    """Return those of the files that a row refers to, or will once its answered call is booked.

    A preview counts as referenced if the picture it shows is.
    """
    originals = {name: original_name(name) for name in names}
    wanted = set(originals) | set(originals.values())
    in_rows = unbooked_results().union(_names_in_rows(wanted))
    return {name for name, original in originals.items() if name in in_rows or original in in_rows}


def unreferenced(names: Iterable[str], stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Yield those of the files that no row refers to; for millions of names, which needn't be in memory."""
    columns = (rows.values_list(*columns) for rows, columns in _rows())
    values = chain.from_iterable(row for table in columns for row in unless_stopped(stop, table.iterator()))
    in_rows = NameSet(chain(unbooked_results(), filter(None, values)))
    yield from in_rows.missing(in_rows.missing(names), key=original_name)


def _rows() -> Iterator[tuple[QuerySet[Any], Sequence[str]]]:
    """Yield the rows that name files, and their columns."""
    for model, columns in COLUMNS.items():
        rows = model._default_manager.order_by()
        # What comes after a job is purged is nobody's.
        yield rows.filter(purged_at=None) if model is Job else rows, columns


def _names_in_rows(wanted: set[str]) -> Iterator[str]:
    """Yield those of the names that a row has, perhaps several times."""
    for rows, columns in _rows():
        # No column has an index, so each query reads every row: a few names are worth one, many aren't.
        if len(wanted) <= NAMES_PER_QUERY:
            conditions = (Q(**{f"{column}__in": wanted}) for column in columns)
            rows = rows.filter(reduce(or_, conditions))  # noqa: PLW2901
        names = chain.from_iterable(rows.values_list(*columns).iterator())
        yield from (name for name in names if name in wanted)


def unbooked_results() -> set[str]:
    """Return the names under which results may be stored that a worker has yet to book."""
    waiting = (Attempt.State.ANSWERED, Attempt.State.IN_DOUBT)
    attempts = Attempt.objects.filter(state__in=waiting).select_related("job")
    return {files.result_name(attempt.job, attempt.number) for attempt in attempts}


def original_name(name: str) -> str:
    """Return the name of what a preview shows: ``source.jpg`` for ``source.jpg.tile.webp``.

    ``jobs.renditions.previews`` makes these names. Any other name is returned unchanged.
    """
    return name.rsplit(".", 2)[0] if name.endswith(PREVIEW) else name


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "lost+found"
