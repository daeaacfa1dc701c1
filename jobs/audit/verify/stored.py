"""Check invariants 5 and 6: the stored files.

Files are read outside of any transaction, so what looks wrong is checked again before it is reported.
"""

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
"""A job's key, the name of its result, and the expected hash."""


def results_match(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Check 5 for every result. A missing file is for invariant 6."""
    known = _known_damaged()
    for result in unless_stopped(stop, _results()):
        yield from _damage(result, known)


def due_results_match(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Check 5 for a night's share of the results that weren't read for ``VERIFY_EVERY_DAYS``.

    A damaged one is read, or at least reported, every night until it is intact again.
    """
    end = time.monotonic() + NIGHTLY_SECONDS
    yield from _still_damaged(stop, end)
    current = _current_round()
    if current.ended_at is None:
        yield from _continue(current, stop, end)


def files_are_rows(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Check 6, both ways, and that the files belong to this database at all."""
    try:
        instance.establish()
    except instance.ForeignFilesError as error:
        yield str(error)
    stored = set(unless_stopped(stop, inventory.stored_names()))
    quarantined = {file.name for file in quarantine.contents()}
    for pk, *names in unless_stopped(stop, _names_in_rows()):
        for name in names:
            if name and name not in stored and _is_gone(pk, name):
                yield f"Job {pk} has lost its file {name}{_AWAY if name in quarantined else '.'}"
    for name in strays.find_strays(stored):
        yield f"No row names the file {name}."


_AWAY = ", which lies in quarantine: manage.py quarantine put-back brings it back."


def _results(after: int = 0) -> Iterator[Result]:
    """Yield the results of later jobs."""
    # In batches: SQLite refuses a write during an open query once another connection has written.
    stored = Job.objects.exclude(result="").order_by("pk").values_list("pk", "result", "result_sha256")
    while batch := list(stored.filter(pk__gt=after)[:BATCH]):
        yield from batch
        after = batch[-1][0]


def _known_damaged() -> set[int]:
    return set(DamagedResult.objects.values_list("pk", flat=True))


def _still_damaged(stop: Stop, end: float) -> Iterator[str]:
    known = DamagedResult.objects.order_by("pk").values_list("pk", "job__result", "job__result_sha256")
    for result in unless_stopped(stop, list(known)):
        yield from _damage(result, {result[0]}) if time.monotonic() < end else [_sentence(result)]


def _current_round() -> ResultRound:
    """Return the round in progress; if the next one isn't due yet, the last one; else a new one."""
    last = ResultRound.objects.first()
    every = timedelta(days=settings.VERIFY_EVERY_DAYS)
    if last and (last.ended_at is None or timezone.now() - last.began_at < every):
        return last
    return ResultRound.objects.create()


def _continue(current: ResultRound, stop: Stop, end: float) -> Iterator[str]:
    saved = time.monotonic()
    known = _known_damaged()
    try:
        for result in unless_stopped(stop, _results(current.last_job)):
            if time.monotonic() >= end:
                return
            if result[0] not in known:  # else ``_still_damaged`` has reported it
                yield from _damage(result, known)
            current.last_job = result[0]
            if time.monotonic() - saved > SAVED_EVERY_SECONDS:
                saved = time.monotonic()
                current.save()
        current.ended_at = timezone.now()
    finally:
        current.save()


def _damage(result: Result, known: set[int]) -> Iterator[str]:
    """Yield a sentence about a damaged result, and record that it is damaged, or intact again."""
    pk, name, expected = result
    if _hash(name) in (None, expected):
        if pk in known:
            DamagedResult.objects.filter(pk=pk).delete()
    elif Job.objects.filter(pk=pk, result=name).exists():
        DamagedResult.objects.get_or_create(job_id=pk)
        yield _sentence(result)


def _sentence(result: Result) -> str:
    return f"The result of job {result[0]}, {result[1]}, isn't what came from the upstream."


def _names_in_rows() -> Iterator[tuple[int, str, str]]:
    """Yield each job with the names of its source and its result, which may be empty."""
    return Job.objects.order_by("pk").values_list("pk", "source", "result").iterator()


def _hash(name: str) -> str | None:
    try:
        with default_storage.open(name) as file:
            return files.sha256(file)
    except FileNotFoundError:
        return None


def _is_gone(pk: int, name: str) -> bool:
    """Return True if the row still refers to the file, and it still isn't there."""
    refers_to_it = Job.objects.filter(Q(source=name) | Q(result=name), pk=pk)
    return refers_to_it.exists() and not default_storage.exists(name)
