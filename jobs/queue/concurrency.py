"""How many calls may be in flight, over all workers, gateways and hosts (``pixian.client.ramp_up``), and
whose turn the next one is: a worker's or a program's.

Programs go before batches, whose next picture can wait a little. So while a program waits for a call, workers
begin none besides the one that they always may have; and programs leave that one to them.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from jobs.connections import give_back
from jobs.models import Job, Ramp
from pixian.client.ramp_up import STEP_SECONDS, allowed

RECORDED_EVERY = timedelta(seconds=1)
WAITS_FOR = timedelta(seconds=2)
"""A program that waits says so again before this is over."""

LOOK_AGAIN_SECONDS = 0.5
"""A call that ends in this process wakes those who wait. This is for calls of workers and other processes."""


class CallLimitError(Exception):
    """Enough calls are in flight."""


def free_calls() -> int:
    """Calls that may be begun now; zero or below where enough are in flight."""
    now = timezone.now()
    return _free(_resumed(Ramp.objects.first() or Ramp(), now), now)


def locked() -> Ramp:
    """The ramp, locked to the end of the transaction."""
    return Ramp.objects.select_for_update().get_or_create(pk=1)[0]


def worker_may_begin(ramp: Ramp, now: datetime) -> bool:
    """Whether a worker may begin a call now."""
    if _free(_resumed(ramp, now), now) <= 0:
        return False
    asked = ramp.program_waited_at
    return asked is None or now - asked > WAITS_FOR or not _workers_calls(now)


def program_may_begin(ramp: Ramp, now: datetime) -> bool:
    """Whether a program's call that is counted already, as the last of those in flight, may be begun."""
    free = _free(_resumed(ramp, now), now)
    return free > 0 or (free == 0 and (_workers_calls(now) or not Job.objects.claimable(now).exists()))


def seems_free(trying: int) -> bool:
    """Whether a program's call is worth its write lock, while so many others of this process try too."""
    now = timezone.now()
    free = _free(_resumed(Ramp.objects.first() or Ramp(), now), now) - trying - 1
    return free > 0 or (free == 0 and (_workers_calls(now) or not Job.objects.claimable(now).exists()))


def record(ramp: Ramp, now: datetime) -> None:
    """A call begins."""
    if now - ramp.claimed_at > RECORDED_EVERY:
        ramp.claimed_at = now
        ramp.save(update_fields=["began_at", "claimed_at"])


def note_waiting() -> None:
    """A program waits for a call."""
    Ramp.objects.filter(pk=1).update(program_waited_at=timezone.now())


def _workers_calls(now: datetime) -> bool:
    return Job.objects.in_flight(now).filter(origin=Job.Origin.BROWSER).exists()


def _resumed(ramp: Ramp, now: datetime) -> Ramp:
    """After a break as long as one of its steps the ramp begins anew."""
    if now - ramp.claimed_at > timedelta(seconds=STEP_SECONDS):
        ramp.began_at = now
    return ramp


def _free(ramp: Ramp, now: datetime) -> int:
    since = (now - ramp.began_at).total_seconds()
    return allowed(since, settings.CALLS_IN_FLIGHT) - Job.objects.in_flight(now).count()


@dataclass(eq=False)
class _Ticket:
    team: int
    number: int


class WaitingLine:
    """The programs' calls of this process that wait until they may be begun.

    Teams take turns, so a call doesn't wait for all calls of another team that came before it. Only the first
    in line looks at the database, and no hold is written meanwhile.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._numbers = 0
        self._turns = 0
        self._last_turns: dict[int, int] = {}
        self._trying = 0
        self._changes = 0

    @contextmanager
    def turn(self, team: int, until: float, *, refused: bool = False) -> Iterator[None]:
        """Wait until a call seems free, and keep the next one in line from counting on the same one.

        A call that wasn't refused yet doesn't line up while nobody waits. until: on the monotonic clock.
        Raises NoSlotError if there is none by then.
        """
        if refused or self._waiting or not seems_free(0):
            self._line_up(team, until)
        else:
            self._change(None, trying=1)
        try:
            yield
        finally:
            self._change(None, trying=-1)

    def look(self) -> None:
        """A call of this process has ended."""
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
        last_asked = 0.0
        while True:
            changes, trying = self._become_first(ticket, until)
            if seems_free(trying):
                return
            if time.monotonic() >= until:
                raise CallLimitError
            if time.monotonic() - last_asked > WAITS_FOR.total_seconds() / 4:
                note_waiting()
                last_asked = time.monotonic()
            self._wait_for_change(changes, min(LOOK_AGAIN_SECONDS, until - time.monotonic()))

    def _become_first(self, ticket: _Ticket, until: float) -> tuple[int, int]:
        """Return the count of changes so far, and how many calls are being tried."""
        give_back()  # the connection: those who are done need one to say so
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


line = WaitingLine()
