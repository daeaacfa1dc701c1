"""Check invariants 5 and 6: the stored files.

Files are read outside of any transaction, so what looks wrong is checked again before it is reported.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import itemgetter, or_
from typing import NamedTuple

from django.core.files.storage import default_storage
from django.db.models import Model, Q

from jobs.audit.verify import rounds
from jobs.audit.verify.rounds import Segment
from jobs.models import Backdrop, DamagedResult, Job, Rendition
from jobs.renditions.stored import want_again
from jobs.storage import files, instance, interruptible, inventory, quarantine, strays
from jobs.storage.interruptible import Stop, unless_stopped
from jobs.storage.name_set import NameSet

NIGHTLY_SECONDS = 30 * 60
BATCH = 500

Progress = Callable[[int, int], object]
"""Called after each result with how many were read, and how many there are to read."""


def ignore(_done: int, _total: int) -> None:
    pass


class Result(NamedTuple):
    """A job's key, the name of its result, the expected hash, and what was made from it."""

    job: int
    name: str
    sha256: str
    renditions: Sequence[Rendition] = ()


def results_match(stop: Stop = interruptible.keep_going, progress: Progress = ignore) -> Iterator[str]:
    """Check 5 for every result. A missing file is for invariant 6."""
    known, total = _known_damaged(), rounds.results().count()
    with rounds.reading(rounds.EVERYTHING) as current:
        for number, result in enumerate(unless_stopped(stop, _results(rounds.EVERYTHING)), start=1):
            yield from _damage(result, known, stop)
            yield from _damaged_renditions(result, stop)
            current.reached(result.job)
            progress(number, total)


def due_results_match(stop: Stop = interruptible.keep_going, progress: Progress = ignore) -> Iterator[str]:
    """Check 5 for a night's share of the results that weren't read for ``VERIFY_EVERY_DAYS``.

    A damaged one is read, or at least reported, every night until it is intact again.
    """
    end = time.monotonic() + NIGHTLY_SECONDS
    yield from _still_damaged(stop, end)
    rounds.forget_superseded()
    known, share, number = _known_damaged(), rounds.nightly_share(), 0
    for segment in rounds.due():
        with rounds.reading(segment) as current:
            for result in unless_stopped(stop, _results(segment)):
                if number >= share or time.monotonic() >= end:
                    return
                if result.job not in known:  # else ``_still_damaged`` has reported it
                    yield from _damage(result, known, stop)
                yield from _damaged_renditions(result, stop)
                current.reached(result.job)
                number += 1
                progress(number, share)


def files_are_rows(stop: Stop = interruptible.keep_going) -> Iterator[str]:
    """Check 6, both ways, and that the files belong to this database at all."""
    try:
        instance.establish()
    except instance.ForeignFilesError as error:
        yield str(error)
    stored = NameSet()
    listing = stored.adding(unless_stopped(stop, inventory.stored_names()))
    # Twice as old: the sweep, which runs before this at night, has had the chance to move them.
    unreferenced = list(strays.find_strays(listing, stop, 2 * strays.GRACE))
    quarantined = {file.name for file in quarantine.contents()}
    for row, name in stored.missing(_names_in_rows(stop), key=itemgetter(1)):
        if _is_gone(row, name):
            title = f"{row._meta.object_name} {row.pk}"
            yield f"{title} has lost its file {name}{_AWAY if name in quarantined else '.'}"
    for name in unreferenced:
        yield f"No row names the file {name}."


_AWAY = ", which lies in quarantine: manage.py quarantine put-back brings it back."


def _results(segment: Segment) -> Iterator[Result]:
    """Yield the segment's results in the order of their jobs."""
    # In batches: SQLite refuses a write during an open query once another connection has written.
    after = segment.after
    stored = rounds.results().order_by("pk").values_list("pk", "result", "result_sha256")
    while batch := list(stored.filter(pk__gt=after, pk__lte=segment.last)[:BATCH]):
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
        yield from _damage(result, {result.job}, stop) if time.monotonic() < end else [_sentence(result)]


def _damage(result: Result, known: set[int], stop: Stop) -> Iterator[str]:
    """Yield a sentence about a damaged result, and record that it is damaged, or intact again."""
    pk, name, expected, _renditions = result
    if _hash(name, stop) in (None, expected):
        if pk in known:
            DamagedResult.objects.filter(pk=pk).delete()
    elif Job.objects.filter(pk=pk, result=name).exists():
        DamagedResult.objects.get_or_create(job_id=pk)
        yield _sentence(result)


def _sentence(result: Result) -> str:
    return f"The result of job {result.job}, {result.name}, isn't what came from the upstream."


def _damaged_renditions(result: Result, stop: Stop) -> Iterator[str]:
    """Yield a sentence about each damaged rendition, and let it be made anew; a missing one is no loss."""
    for row in result.renditions:
        name = str(row.file)
        # Read the row again: it may have been made anew, or be deleted, meanwhile.
        same = Rendition.objects.filter(pk=row.pk, state=Rendition.State.MADE, file=name, sha256=row.sha256)
        if _hash(name, stop) not in (None, row.sha256) and same.exists():
            want_again(row)
            yield f"The rendition {name} of job {row.job_id} was damaged. It is made anew at 0 credits."


def _names_in_rows(stop: Stop) -> Iterator[tuple[Model, str]]:
    """Yield each row that would be the poorer without its files, with the name of each.

    Renditions aren't among them: they are made anew. Nor are erased jobs, whose files may go at any moment.
    """
    for rows in (Job.objects.filter(erased_at=None), Backdrop.objects.all()):
        model: type[Job | Backdrop] = rows.model
        columns = rows.order_by("pk").values_list("pk", *inventory.COLUMNS[model])
        for pk, *names in unless_stopped(stop, columns.iterator()):
            yield from ((model(pk=pk), name) for name in names if name)


def _hash(name: str, stop: Stop) -> str | None:
    """Return a file's digest, or None if it is missing; raise StoppedError, also amid a large file."""
    try:
        return files.sha256_of(unless_stopped(stop, files.stored_chunks(name)))
    except FileNotFoundError:
        return None


def _is_gone(row: Model, name: str) -> bool:
    """Return True if the row still refers to the file, and it still isn't there."""
    conditions = (Q(**{column: name}) for column in inventory.COLUMNS[type(row)])
    refers_to_it = type(row)._default_manager.filter(reduce(or_, conditions), pk=row.pk)
    if isinstance(row, Job):
        refers_to_it = refers_to_it.filter(erased_at=None)
    return not default_storage.exists(name) and refers_to_it.exists()
