"""List the stored files, and tell which of them the database refers to."""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain
from operator import or_

from django.core.files.storage import default_storage
from django.db.models import Model, Q

from jobs.models import Attempt, Backdrop, Job, Rendition
from jobs.storage import files

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
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder was removed a moment ago
        return
    if not folder:
        folders, names = _visible(folders), _visible(names)
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


def _names_in_rows(wanted: set[str]) -> Iterator[str]:
    """Yield those of the names that a row has, perhaps several times."""
    for model, columns in COLUMNS.items():
        rows = model._default_manager.order_by()
        # No column has an index, so each query reads every row: a few names are worth one, many aren't.
        if len(wanted) <= NAMES_PER_QUERY:
            conditions = (Q(**{f"{column}__in": wanted}) for column in columns)
            rows = rows.filter(reduce(or_, conditions))
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


def _visible(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".") and name != "lost+found"]
