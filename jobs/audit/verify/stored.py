"""Invariants 5 and 6: the files. They are read outside of any transaction, so what looks wrong is looked at
again before it is told."""

import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils import timezone

from jobs.models import DamagedResult, Job, ResultRound
from jobs.storage import files, instance, interruptible, inventory, quarantine, strays
from jobs.storage.interruptible import Stop, unless_stopped

NIGHTLY_SECONDS = 30 * 60
SAVED_EVERY_SECONDS = 10
BATCH = 500

Result = tuple[int, str, str]
"""A job's key, the name of its result, and the hash that it should have."""


def results_match(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """5. Reads every result there is. One without its file is invariant 6's."""
    known = _known()
    for result in unless_stopped(stop, _results()):
        yield from _damage(result, known)


def due_results_match(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """5, but only results that weren't read for ``VERIFY_EVERY_DAYS``, and no more than a night's share of
    them.

    A damaged one is read, or at least told, every night until it is whole again.
    """
    end = time.monotonic() + NIGHTLY_SECONDS
    yield from _still_damaged(stop, end)
    current = _round()
    if current.ended_at is None:
        yield from _go_on(current, stop, end)


def files_are_rows(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """6. In both directions; and that the files are this database's at all."""
    try:
        instance.establish()
    except instance.ForeignFilesError as error:
        yield str(error)
    found = set(unless_stopped(stop, inventory.stored_names()))
    aside = {file.name for file in quarantine.contents()}
    for pk, *names in unless_stopped(stop, _named()):
        for name in names:
            if name and name not in found and _is_gone(pk, name):
                yield f"Job {pk} has lost its file {name}{_AWAY if name in aside else '.'}"
    for name in strays.find_strays(found):
        yield f"No row names the file {name}."


_AWAY = ", which lies in quarantine: manage.py quarantine put-back brings it back."


def _results(after: int = 0) -> Iterator[Result]:
    """Of later jobs, in batches: SQLite refuses a write in the midst of a query once others have written."""
    stored = Job.objects.exclude(result="").order_by("pk").values_list("pk", "result", "result_sha256")
    while batch := list(stored.filter(pk__gt=after)[:BATCH]):
        yield from batch
        after = batch[-1][0]


def _known() -> set[int]:
    return set(DamagedResult.objects.values_list("pk", flat=True))


def _still_damaged(stop: Stop, end: float) -> Iterator[str]:
    known = DamagedResult.objects.order_by("pk").values_list("pk", "job__result", "job__result_sha256")
    for result in unless_stopped(stop, list(known)):
        yield from _damage(result, {result[0]}) if time.monotonic() < end else [_sentence(result)]


def _round() -> ResultRound:
    """The one under way, or the last one if the next isn't due yet."""
    last = ResultRound.objects.first()
    every = timedelta(days=settings.VERIFY_EVERY_DAYS)
    if last and (last.ended_at is None or timezone.now() - last.began_at < every):
        return last
    return ResultRound.objects.create()


def _go_on(current: ResultRound, stop: Stop, end: float) -> Iterator[str]:
    saved = time.monotonic()
    known = _known()
    try:
        for result in unless_stopped(stop, _results(current.last_job)):
            if time.monotonic() >= end:
                return
            if result[0] not in known:  # told already
                yield from _damage(result, known)
            current.last_job = result[0]
            if time.monotonic() - saved > SAVED_EVERY_SECONDS:
                saved = time.monotonic()
                current.save()
        current.ended_at = timezone.now()
    finally:
        current.save()


def _damage(result: Result, known: set[int]) -> Iterator[str]:
    """The sentence about a result that isn't what came; remembers it, or that it is whole again."""
    pk, name, expected = result
    if _hash(name) in (None, expected):
        if pk in known:
            DamagedResult.objects.filter(pk=pk).delete()
    elif Job.objects.filter(pk=pk, result=name).exists():
        DamagedResult.objects.get_or_create(job_id=pk)
        yield _sentence(result)


def _sentence(result: Result) -> str:
    return f"The result of job {result[0]}, {result[1]}, isn't what came from the upstream."


def _named() -> Iterator[tuple[int, str, str]]:
    """Each job with the names of its source and, if there is one, its result."""
    return Job.objects.order_by("pk").values_list("pk", "source", "result").iterator()


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
