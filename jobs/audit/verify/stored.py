"""Check invariants 5 and 6: the stored files.

Files are read outside of any transaction, so what looks wrong is checked again before it is reported.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import NamedTuple

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Model, Q
from django.utils import timezone

from jobs.models import Backdrop, DamagedResult, Job, Rendition, ResultRound
from jobs.renditions.stored import want_again
from jobs.storage import files, instance, interruptible, inventory, quarantine, strays
from jobs.storage.interruptible import Stop, unless_stopped

NIGHTLY_SECONDS = 30 * 60
SAVED_EVERY_SECONDS = 10
BATCH = 500


class Result(NamedTuple):
    """A job's key, the name of its result, the expected hash, and what was made from it."""

    job: int
    name: str
    sha256: str
    renditions: Sequence[Rendition] = ()


def results_match(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Check 5 for every result. A missing file is for invariant 6."""
    known = _known_damaged()
    for result in unless_stopped(stop, _results()):
        yield from _damage(result, known)
        yield from _damaged_renditions(result)


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
    for title, row, names in unless_stopped(stop, _names_in_rows()):
        for name in names:
            if name and name not in stored and _is_gone(row, name):
                yield f"{title} has lost its file {name}{_AWAY if name in quarantined else '.'}"
    for name in strays.find_strays(stored):
        yield f"No row names the file {name}."


_AWAY = ", which lies in quarantine: manage.py quarantine put-back brings it back."


def _results(after: int = 0) -> Iterator[Result]:
    """Yield the results of later jobs."""
    # In batches: SQLite refuses a write during an open query once another connection has written.
    stored = Job.objects.exclude(result="").order_by("pk").values_list("pk", "result", "result_sha256")
    while batch := list(stored.filter(pk__gt=after)[:BATCH]):
        made = defaultdict(list)
        after = batch[-1][0]
        for row in Rendition.objects.filter(job__in=[pk for pk, *_ in batch], state=Rendition.State.MADE):
            made[row.job_id].append(row)
        yield from (Result(pk, name, sha256, made[pk]) for pk, name, sha256 in batch)


def _known_damaged() -> set[int]:
    return set(DamagedResult.objects.values_list("pk", flat=True))


def _still_damaged(stop: Stop, end: float) -> Iterator[str]:
    known = DamagedResult.objects.order_by("pk").values_list("pk", "job__result", "job__result_sha256")
    for result in unless_stopped(stop, [Result(*row) for row in known]):
        yield from _damage(result, {result.job}) if time.monotonic() < end else [_sentence(result)]


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
            if result.job not in known:  # else ``_still_damaged`` has reported it
                yield from _damage(result, known)
            yield from _damaged_renditions(result)
            current.last_job = result.job
            if time.monotonic() - saved > SAVED_EVERY_SECONDS:
                saved = time.monotonic()
                current.save()
        current.ended_at = timezone.now()
    finally:
        current.save()


def _damage(result: Result, known: set[int]) -> Iterator[str]:
    """Yield a sentence about a damaged result, and record that it is damaged, or intact again."""
    pk, name, expected, _renditions = result
    if _hash(name) in (None, expected):
        if pk in known:
            DamagedResult.objects.filter(pk=pk).delete()
    elif Job.objects.filter(pk=pk, result=name).exists():
        DamagedResult.objects.get_or_create(job_id=pk)
        yield _sentence(result)


def _sentence(result: Result) -> str:
    return f"The result of job {result.job}, {result.name}, isn't what came from the upstream."


def _damaged_renditions(result: Result) -> Iterator[str]:
    """Yield a sentence about each damaged rendition, and let it be made anew; a missing one is no loss."""
    for row in result.renditions:
        name = str(row.file)
        # Read the row again: it may have been made anew, or be deleted, meanwhile.
        same = Rendition.objects.filter(pk=row.pk, state=Rendition.State.MADE, file=name, sha256=row.sha256)
        if _hash(name) not in (None, row.sha256) and same.exists():
            want_again(row)
            yield f"The rendition {name} of job {row.job_id} was damaged. It is made anew at 0 credits."


def _names_in_rows() -> Iterator[tuple[str, Model, Sequence[str]]]:
    """Yield each row that would be the poorer without its files, what it is called, and their names.

    Renditions aren't among them: they are made anew.
    """
    for title, model in (("Job", Job), ("Backdrop", Backdrop)):
        for pk, *names in (
            model._default_manager.order_by("pk").values_list("pk", *inventory.COLUMNS[model]).iterator()
        ):
            yield f"{title} {pk}", model(pk=pk), names


def _hash(name: str) -> str | None:
    try:
        with default_storage.open(name) as file:
            return files.sha256(file)
    except FileNotFoundError:
        return None


def _is_gone(row: Model, name: str) -> bool:
    """Return True if the row still refers to the file, and it still isn't there."""
    conditions = (Q(**{column: name}) for column in inventory.COLUMNS[type(row)])
    refers_to_it = type(row)._default_manager.filter(reduce(or_, conditions), pk=row.pk)
    return refers_to_it.exists() and not default_storage.exists(name)
