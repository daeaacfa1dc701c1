"""How many calls may be in flight, over all workers, gateways and hosts (``pixian.ramp``), and whose turn the
next one is: a worker's or a program's.

Programs go before batches, whose next picture can wait a little. So while a program waits for a call, workers
begin none besides the one that they always may have; and programs leave that one to them.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from jobs.models import Job, Ramp
from pixian.ramp import STEP_SECONDS, allowed

RECORDED_EVERY = timedelta(seconds=1)
WAITS_FOR = timedelta(seconds=2)
"""A program that waits says so again before this is over."""


def free_calls() -> int:
    """Calls that may be begun now; zero or below where enough are in flight."""
    now = timezone.now()
    return _free(_resumed(Ramp.objects.first() or Ramp(), now), now)


def locked() -> Ramp:
    """The ramp, locked to the end of the transaction."""
    return Ramp.objects.select_for_update().get_or_create(pk=1)[0]


def is_for_a_worker(ramp: Ramp, now: datetime) -> bool:
    """Whether a worker may begin a call now."""
    if _free(_resumed(ramp, now), now) <= 0:
        return False
    asked = ramp.program_waited_at
    return asked is None or now - asked > WAITS_FOR or not _workers_calls(now)


def is_for_a_program(ramp: Ramp, now: datetime) -> bool:
    """Whether a program's call that is counted already, as the last of those in flight, may be begun."""
    free = _free(_resumed(ramp, now), now)
    return free > 0 or (free == 0 and (_workers_calls(now) or not Job.objects.claimable(now).exists()))


def record(ramp: Ramp, now: datetime) -> None:
    """A call begins."""
    if now - ramp.claimed_at > RECORDED_EVERY:
        ramp.claimed_at = now
        ramp.save(update_fields=["began_at", "claimed_at"])


def ask_for_one() -> None:
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
