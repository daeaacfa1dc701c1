"""Invariants 5 and 6: the files. They are read outside of any transaction, so what looks wrong is looked at
again before it is told."""

from collections.abc import Iterator
from datetime import timedelta

from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils import timezone

from jobs import files
from jobs.models import Attempt, Job

SETTLED_DOWN = timedelta(hours=1)
"""A file is there before its row is; after so long no row comes any more."""
PREVIEW = ".webp"


def results_match() -> Iterator[str]:
    """5. Reads every result there is. One without its file is invariant 6's."""
    stored = Job.objects.exclude(result="").order_by("pk").values_list("pk", "result", "result_sha256")
    for pk, name, expected in stored.iterator():
        if _hash(name) not in (None, expected) and Job.objects.filter(pk=pk, result=name).exists():
            yield f"The result of job {pk}, {name}, isn't what came from the upstream."


def files_are_rows() -> Iterator[str]:
    """6. In both directions."""
    found = set(_walk(""))
    for pk, *names in _named():
        for name in names:
            if name and name not in found and _is_gone(pk, name):
                yield f"Job {pk} has lost its file {name}."
    for name in _strays(found):
        yield f"No row names the file {name}."


def strays() -> Iterator[str]:
    """The names of files that no row will name any more: left behind by a crash between a file and its row.
    A preview belongs to the picture that it shows."""
    yield from _strays(set(_walk("")))


def _strays(found: set[str]) -> Iterator[str]:
    expected = {name for _pk, *names in _named() for name in names} | _arrived()
    for name in sorted(found - expected):
        if _original(name) not in expected and _is_stray(name):
            yield name


def _named() -> Iterator[tuple[int, str, str]]:
    """Each job with the names of its source and, if there is one, its result."""
    return Job.objects.order_by("pk").values_list("pk", "source", "result").iterator()


def _walk(folder: str) -> Iterator[str]:
    """The names of all files."""
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever stored, or the folder was removed just now
        return
    yield from (f"{folder}/{name}" if folder else name for name in names)
    for below in folders:
        yield from _walk(f"{folder}/{below}" if folder else below)


def _arrived() -> set[str]:
    """Results that were stored and wait for a worker, or a person, to book them."""
    waiting = (Attempt.State.ANSWERED, Attempt.State.IN_DOUBT)
    answered = Attempt.objects.filter(state__in=waiting).select_related("job")
    return {files.result_name(attempt.job, attempt.number) for attempt in answered}


def _hash(name: str) -> str | None:
    try:
        with default_storage.open(name) as file:
            return files.sha256(file)
    except FileNotFoundError:
        return None


def _is_gone(pk: int, name: str) -> bool:
    """Whether the row still names the file, and it really isn't there."""
    names_it = Job.objects.filter(Q(source=name) | Q(result=name), pk=pk)
    return names_it.exists() and not default_storage.exists(name)


def _is_stray(name: str) -> bool:
    """Whether it has been there for long, and there is still no row for it."""
    try:
        modified = default_storage.get_modified_time(name)
    except FileNotFoundError:
        return False
    if timezone.now() - modified < SETTLED_DOWN:
        return False
    return not Job.objects.filter(Q(source=name) | Q(result=name)).exists()


def _original(name: str) -> str:
    """What a preview shows: ``source.jpg`` of ``source.jpg.tile.webp`` (``jobs.renditions``)."""
    return name.rsplit(".", 2)[0] if name.endswith(PREVIEW) else name
