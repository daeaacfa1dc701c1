"""Bound the calls in flight over all workers, gateways and hosts (``pixian.client.ramp_up``).

The next free call is a worker's or a program's. Programs go before batches, whose next picture can wait a
little: while a program waits for a call, workers begin none besides the one that they may always have; and
programs leave that one to them.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import LessThan
from django.utils import timezone

from jobs import plain_sql
from jobs.connections import give_back
from jobs.models import Job, Ramp
from jobs.models.job import JobQuerySet
from pixian.client.ramp_up import STEP_SECONDS, allowed

RECORDED_EVERY = timedelta(seconds=1)
WAITS_FOR = timedelta(seconds=2)  # a waiting program says so again before this is over

KNOWN_FREE_SECONDS = 1
"""So long after an admission that left calls free, this process tries the next one without a look before."""

# In plain SQL, since each program's call asks this, and building the query would cost more than running it.
COUNTED = """
SELECT ramp.*, (SELECT COUNT(*) FROM jobs_job WHERE state = 'running' AND lease_until >= %s) AS in_flight
FROM jobs_ramp ramp WHERE ramp.id = 1
"""

RECHECK_SECONDS = 0.5
"""A call that ends in this process wakes those that wait. Calls of workers and of other processes don't."""


class CallLimitError(Exception):
    """Enough calls are in flight."""


class CallsStoppedError(CallLimitError):
    """No call may begin until a person starts them again (``jobs.queue.stopping``)."""


def free_calls() -> int:
    """Return how many calls may begin now; zero or below if enough are in flight."""
    now = timezone.now()
    return _free(Ramp.objects.first() or Ramp(), now)


def locked() -> Ramp:
    """Return the ramp, locked to the end of the transaction."""
    rows = list(Ramp.objects.raw(plain_sql.locking("SELECT * FROM jobs_ramp WHERE id = 1")))
    return rows[0] if rows else Ramp.objects.select_for_update().get_or_create(pk=1)[0]


def admit() -> bool:
    """Begin a program's call, which counts as the last of those in flight; False if there are enough.

    Raises CallsStoppedError. The ramp's row stays locked to the end of the transaction.
    """
    # A statement that waits for a lock counts what there was before the wait, so the count is another one.
    # SQLite has locked the whole file by then.
    if connection.features.has_select_for_update:
        locked()
    now = timezone.now()
    ramp, in_flight = _counted(now) or (locked(), Job.objects.in_flight(now).count())
    _check_not_stopped(ramp)
    free = limit(ramp, now) - in_flight
    if not _leaves_one_to_workers(free, now):
        return False
    record(ramp, now)
    call_limit.note_free(free)
    return True


def _counted(now: datetime) -> tuple[Ramp, int] | None:
    """Return the ramp and the count of calls in flight; None before the first call of all."""
    rows = list(Ramp.objects.raw(COUNTED, [plain_sql.moment(now)]))
    return (rows[0], vars(rows[0])["in_flight"]) if rows else None


def within_limit(jobs: JobQuerySet, now: datetime, limit: int, *, leaves_one: bool) -> JobQuerySet:
    """Return the query of jobs, empty unless a worker may begin a call when it runs.

    A part of the query that claims, since it counts only once the ramp is locked, and every worker waits
    for it.
    """
    jobs = jobs.filter(LessThan(_count_in_flight(now), limit))
    return jobs.filter(~Exists(_calls_of_workers(now))) if leaves_one else jobs


def _count_in_flight(now: datetime) -> Coalesce:
    calls = Job.objects.in_flight(now).order_by().values(one=Value(1)).annotate(calls=Count("pk"))
    return Coalesce(Subquery(calls.values("calls")), 0)


def program_waits(ramp: Ramp, now: datetime) -> bool:
    """Tell if a program waits for a call, so that workers keep to a single one."""
    waited = ramp.program_waited_at
    return waited is not None and now - waited <= WAITS_FOR


def seems_free(trying: int) -> bool:
    """Tell if a program's call is worth its write lock while so many others of this process try too.

    Raises CallsStoppedError.
    """
    now = timezone.now()
    ramp, in_flight = _counted(now) or (Ramp(), 0)
    _check_not_stopped(ramp)
    return _leaves_one_to_workers(limit(ramp, now) - in_flight - trying - 1, now)


def record(ramp: Ramp, now: datetime) -> None:
    """Record that a call begins now."""
    _restart_after_break(ramp, now)
    if now - ramp.claimed_at > RECORDED_EVERY:
        ramp.claimed_at = now
        changes = {"began_at": ramp.began_at, "claimed_at": now}
        plain_sql.update(Ramp, changes, "id = %s", [ramp.pk])


def note_waiting() -> None:
    """Record that a program waits for a call."""
    Ramp.objects.filter(pk=1).update(program_waited_at=timezone.now())


def _leaves_one_to_workers(free: int, now: datetime) -> bool:
    """Tell if a program's call leaves this many calls free, or the last one isn't a worker's to begin."""
    if free:
        return free > 0
    return _calls_of_workers(now).exists() or not Job.objects.claimable(now).exists()


def _calls_of_workers(now: datetime) -> JobQuerySet:
    return Job.objects.in_flight(now).filter(origin=Job.Origin.BROWSER)


def _free(ramp: Ramp, now: datetime) -> int:
    return limit(ramp, now) - Job.objects.in_flight(now).count()


def _check_not_stopped(ramp: Ramp) -> None:
    """Raise CallsStoppedError at once, so that no program waits for what only a person can change."""
    if ramp.stopped_at:
        raise CallsStoppedError


def limit(ramp: Ramp, now: datetime) -> int:
    """Return how many calls may be in flight."""
    if ramp.stopped_at:
        return 0
    _restart_after_break(ramp, now)
    seconds = (now - ramp.began_at).total_seconds()
    return allowed(seconds, settings.CALLS_AT_START, settings.CALLS_IN_FLIGHT)


def _restart_after_break(ramp: Ramp, now: datetime) -> None:
    """Begin the ramp anew after a break as long as one of its steps."""
    if now - ramp.claimed_at > timedelta(seconds=STEP_SECONDS):
        ramp.began_at = now


@dataclass(eq=False)
class _Ticket:
    team: int
    number: int


class CallLimit:
    """The place where programs' calls of this process wait until they may begin.

    Teams take turns, so a call doesn't wait for all calls of another team that came before it. Only the
    first in line asks the database, and no hold is written meanwhile.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._numbers = 0
        self._turns = 0
        self._last_turns: dict[int, int] = {}
        self._trying = 0
        self._changes = 0
        self._known_free = (0, 0.0)  # calls, and until when on the monotonic clock

    @contextmanager
    def turn(self, team: int, until: float, *, refused: bool = False) -> Iterator[None]:
        """Wait until a call seems free, and keep the next one in line from counting on the same one.

        A call that wasn't refused yet doesn't line up while no other waits, and isn't preceded by a look if
        a moment ago more calls were free than are being tried. until: on the monotonic clock.
        Raises CallLimitError if no call is free by then.
        """
        if refused or self._waiting or not (self._is_known_free() or seems_free(0)):
            self._line_up(team, until)
        else:
            self._change(None, trying=1)
        try:
            yield
        finally:
            self._change(None, trying=-1)

    def note_free(self, calls: int) -> None:
        """Remember for a moment how many calls an admission has left free.

        Another process may take them meanwhile. Then the next one is refused, and lines up.
        """
        self._known_free = (calls, time.monotonic() + KNOWN_FREE_SECONDS)

    def _is_known_free(self) -> bool:
        calls, until = self._known_free
        return calls - self._trying > 1 and time.monotonic() < until

    def recheck(self) -> None:
        """Wake the first in line: a call of this process has ended."""
        self._change(None, trying=0)

    def _line_up(self, team: int, until: float) -> None:
        with self._changed:
            self._numbers += 1
            ticket = _Ticket(team, self._numbers)
            self._waiting.append(ticket)
        try:
            self._wait(ticket, until)
        except BaseException:
            self._change(ticket, trying=0)
            raise
        self._change(ticket, trying=1)

    def _change(self, leaving: _Ticket | None, trying: int) -> None:
        with self._changed:
            if leaving:
                self._waiting.remove(leaving)
            if leaving and trying:
                self._turns += 1
                self._last_turns[leaving.team] = self._turns
            self._trying += trying
            self._changes += 1
            self._changed.notify_all()

    def _wait(self, ticket: _Ticket, until: float) -> None:
        last_noted = 0.0
        while True:
            changes, trying = self._become_first(ticket, until)
            if seems_free(trying):
                return
            if time.monotonic() >= until:
                raise CallLimitError
            if time.monotonic() - last_noted > WAITS_FOR.total_seconds() / 4:
                note_waiting()
                last_noted = time.monotonic()
            self._wait_for_change(changes, min(RECHECK_SECONDS, until - time.monotonic()))

    def _become_first(self, ticket: _Ticket, until: float) -> tuple[int, int]:
        """Wait to be first in line; return the count of changes so far, and of the calls being tried."""
        give_back()  # the connection: a call that ends needs one to do so
        with self._changed:
            if not self._changed.wait_for(lambda: self._first() is ticket, until - time.monotonic()):
                raise CallLimitError
            return self._changes, self._trying

    def _wait_for_change(self, after: int, seconds: float) -> None:
        give_back()  # as above
        with self._changed:
            self._changed.wait_for(lambda: self._changes != after, seconds)

    def _first(self) -> _Ticket:
        return min(self._waiting, key=lambda t: (self._last_turns.get(t.team, 0), t.number))


call_limit = CallLimit()
