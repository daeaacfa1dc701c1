"""Choose which results to read: those that weren't read for longest, and a fair share of all a night.

Which ranges of jobs were read, and when, is stored (``ResultRound``), so that a night goes on where the last
one ended or was stopped.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job, ResultRound

SAVED_EVERY_SECONDS = 10


class Segment(NamedTuple):
    """The jobs after ``after``, up to ``last``. read_at: None if their results were never read."""

    after: int
    last: int
    read_at: datetime | None = None


EVERYTHING = Segment(0, sys.maxsize)


def results() -> QuerySet[Job]:
    """Return the jobs that have a result to read."""
    return Job.objects.filter(erased_at=None).exclude(result="")


def nightly_share() -> int:
    """Return how many results a night reads, so that each is read once in ``VERIFY_EVERY_DAYS``."""
    return -(-results().count() // max(1, settings.VERIFY_EVERY_DAYS))


def due() -> list[Segment]:
    """Return what wasn't read for ``VERIFY_EVERY_DAYS``, the oldest first.

    Results that were never read are as old as the first of them.
    """
    long_ago = timezone.now() - timedelta(days=settings.VERIFY_EVERY_DAYS)
    found = []
    for segment in _segments(ResultRound.objects.all()):
        if segment.read_at is None:
            if stored_at := _first_stored_at(segment):
                found.append((stored_at, segment))
        elif segment.read_at <= long_ago:
            found.append((segment.read_at, segment))
    return [segment for _since, segment in sorted(found)]


def complete_since() -> datetime | None:
    """Return since when every result has been read; None if some never was.

    Results that are younger than ``VERIFY_EVERY_DAYS`` don't count until they are read.
    """
    long_ago = timezone.now() - timedelta(days=settings.VERIFY_EVERY_DAYS)
    oldest: datetime | None = None
    for segment in _segments(ResultRound.objects.all()):
        stored_at = _first_stored_at(segment)
        if segment.read_at is None and stored_at and stored_at < long_ago:
            return None
        if segment.read_at and stored_at:
            oldest = min(oldest or segment.read_at, segment.read_at)
    return oldest


class Reading:
    """The range that is being read. It is stored every few seconds, and when the reading ends."""

    def __init__(self, segment: Segment) -> None:
        self._range = ResultRound(after_job=segment.after, last_job=segment.after)
        self._saved = time.monotonic()

    def reached(self, job: int) -> None:
        self._range.last_job = job
        if time.monotonic() - self._saved > SAVED_EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        self._saved = time.monotonic()
        if self._range.last_job > self._range.after_job:
            self._range.ended_at = timezone.now()
            self._range.save()


@contextmanager
def reading(segment: Segment) -> Iterator[Reading]:
    """Record how far a segment is read, also if the reading is stopped."""
    current = Reading(segment)
    try:
        yield current
    finally:
        current.save()


def forget_superseded() -> None:
    """Delete the ranges whose jobs have all been read again."""
    rounds = list(ResultRound.objects.all())
    latest = {segment.read_at for segment in _segments(rounds)}
    ResultRound.objects.filter(pk__in=[row.pk for row in rounds if row.read_at not in latest]).delete()


def _segments(rounds: Iterable[ResultRound]) -> Iterator[Segment]:
    """Divide all jobs at the ends of the ranges; the last segment is that of the jobs to come."""
    rows = list(rounds)
    ends = sorted({0} | {row.after_job for row in rows} | {row.last_job for row in rows})
    for after, last in pairwise([*ends, sys.maxsize]):
        read = (row.read_at for row in rows if row.after_job <= after and last <= row.last_job)
        yield Segment(after, last, max(read, default=None))


def _first_stored_at(segment: Segment) -> datetime | None:
    stored = results().filter(pk__gt=segment.after, pk__lte=segment.last)
    return stored.order_by("pk").values_list("created_at", flat=True).first()
