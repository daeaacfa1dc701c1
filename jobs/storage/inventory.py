"""List the stored files, and tell which of them the database refers to."""

from collections.abc import Iterable, Iterator

from django.core.files.storage import default_storage
from django.db.models import Q

from jobs.models import Attempt, Job
from jobs.storage import files

NAMES_PER_QUERY = 400  # two values each; SQLite allows some 1,000 in a query
PREVIEW = ".webp"


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
    jobs = Job.objects.order_by()
    # Neither column has an index, so each query reads every row: a few names are worth one, many aren't.
    if len(wanted) <= NAMES_PER_QUERY:
        jobs = jobs.filter(Q(source__in=wanted) | Q(result__in=wanted))
    pairs = jobs.values_list("source", "result").iterator()
    in_rows = unbooked_results().union(name for pair in pairs for name in pair if name in wanted)
    return {name for name, original in originals.items() if name in in_rows or original in in_rows}


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
