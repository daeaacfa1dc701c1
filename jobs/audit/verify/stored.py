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
from django.db.models import Model, Q, QuerySet

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


class Expected(NamedTuple):
    """A stored file with the hash that it came with. origin: what it then is."""

    what: str
    name: str
    sha256: str
    origin: str


class Result(NamedTuple):
    """A job's key, the files that its cut-out consists of, the result first, and what was made from it."""

    job: int
    files: Sequence[Expected]
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
    stored = _with_options(rounds.results()).order_by("pk")
    while batch := list(stored.filter(pk__gt=after, pk__lte=segment.last)[:BATCH]):
        made = defaultdict(list)
        after = batch[-1].pk
        for row in Rendition.objects.filter(job__in=batch, state=Rendition.State.MADE):
            made[row.job_id].append(row)
        yield from (Result(job.pk, _files(job), made[job.pk]) for job in batch)


def _with_options(jobs: QuerySet[Job]) -> QuerySet[Job]:
    columns = ("result", "result_sha256", "source", "source_sha256", "options", "reused_from__options")
    return jobs.select_related("reused_from").only(*columns)


def _files(job: Job) -> list[Expected]:
    """Return the files that the job's cut-out consists of: a delta PNG says little without its source."""
    found = [Expected("result", str(job.result), job.result_sha256, "what came from the upstream")]
    if (job.reused_from or job).is_delta:
        found.append(Expected("source", str(job.source), job.source_sha256, "what was uploaded"))
    return found


def _known_damaged() -> set[int]:
    return set(DamagedResult.objects.values_list("pk", flat=True))


def _still_damaged(stop: Stop, end: float) -> Iterator[str]:
    known = _with_options(Job.objects.filter(damage__isnull=False)).order_by("pk")
    for result in unless_stopped(stop, [Result(job.pk, _files(job)) for job in known]):
        if time.monotonic() < end:
            yield from _damage(result, {result.job}, stop)
        else:
            name = result.files[0].name
            yield f"The result of job {result.job}, {name}, was damaged when it was last read."


def _damage(result: Result, known: set[int], stop: Stop) -> Iterator[str]:
    """Yield a sentence about a damaged result, and record that it is damaged, or intact again."""
    flaws = list(filter(None, (_flaw(file, stop) for file in result.files)))
    if not flaws:
        if result.job in known:
            DamagedResult.objects.filter(pk=result.job).delete()
    elif Job.objects.filter(pk=result.job, result=result.files[0].name).exists():
        DamagedResult.objects.get_or_create(job_id=result.job)
        for file, flaw in flaws:
            yield f"The {file.what} of job {result.job}, {file.name}, {flaw}."


def _flaw(file: Expected, stop: Stop) -> tuple[Expected, str] | None:
    """Return the file with what is wrong with it; None if nothing is, or if it is missing."""
    try:
        return (file, f"isn't {file.origin}") if _hash(file.name, stop) not in (None, file.sha256) else None
    except files.StorageUnavailableError:
        raise
    except OSError as error:  # of a disk that fails, or of one who may not read it
        return file, f"can't be read: {error.strerror}"


def _damaged_renditions(result: Result, stop: Stop) -> Iterator[str]:
    """Yield a sentence about each damaged rendition, and let it be made anew; a missing one is no loss."""
    for row in result.renditions:
        name = str(row.file)
        # Read the row again: it may have been made anew, or be deleted, meanwhile.
        same = Rendition.objects.filter(pk=row.pk, state=Rendition.State.MADE, file=name, sha256=row.sha256)
        if _flaw(Expected("rendition", name, row.sha256, "what was made"), stop) and same.exists():
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
