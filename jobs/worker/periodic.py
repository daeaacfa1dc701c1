"""What is done now and then by one worker of all: the balance is asked for, the books are verified,
spent counts are purged."""

from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from accounts import rate_limits
from jobs.audit import balance_snapshots, verify
from jobs.calls.upstream import Upstream
from jobs.models import PeriodicTask
from jobs.storage import instance, interruptible, strays
from jobs.storage.interruptible import Stop, StoppedError
from pixian.protocol.errors import PixianError

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60
BEAT = "beat"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def run_due(upstream: Upstream, stop: Stop = interruptible.keep_going) -> None:
    """One look at each chore. Nothing that goes wrong here stops a worker; a chore that lasts ends early once
    ``stop`` returns True."""
    for name, (first, every, do) in CHORES.items():
        try:
            if _mine(name, first, every):
                do(upstream, stop)
                note(name)
        except (OperationalError, InterfaceError, OSError, PixianError) as error:
            log.warning("a chore wasn't done", chore=name, error=str(error).strip())
        except Exception:
            log.exception("a chore failed in an unexpected way", chore=name)


def note(name: str) -> None:
    """Record that a chore came to its end."""
    PeriodicTask.objects.filter(name=name).update(ran_at=timezone.now())


def note_beat(every: timedelta) -> None:
    """Record that Celery's beat has announced something lately; at most every so often."""
    now = timezone.now()
    PeriodicTask.objects.get_or_create(name=BEAT, defaults={"due_at": now})
    PeriodicTask.objects.filter(name=BEAT, due_at__lte=now).update(due_at=now + every, ran_at=now)


def _mine(name: str, first: timedelta, every: timedelta) -> bool:
    """Whether it is due, and this process the one that does it."""
    now = timezone.now()
    PeriodicTask.objects.get_or_create(name=name, defaults={"due_at": now + first})
    return bool(PeriodicTask.objects.filter(name=name, due_at__lte=now).update(due_at=now + every))


def _ask_for_the_balance(upstream: Upstream, _stop: Stop) -> None:
    """While no call is in flight, so that each charge surely falls before or after it."""
    if balance_snapshots.is_quiet():
        balance_snapshots.take(upstream)
    else:
        PeriodicTask.objects.filter(name="balance").update(due_at=timezone.now())


def _verify(_upstream: Upstream, stop: Stop) -> None:
    """Files that no row names are what crashes left behind, and nothing is wrong with the books for it."""
    try:
        _tidy(stop)
        found = verify.run(nightly=True, stop=stop).findings
    except StoppedError:
        PeriodicTask.objects.filter(name="verify").update(due_at=timezone.now())
        return
    if found:
        log.error("manage.py verify finds the books or files wrong", findings=found)


def _tidy(stop: Stop) -> None:
    try:
        instance.establish()
        strays.sweep(stop=stop)
    except instance.ForeignFilesError as error:
        log.error("the files belong to another database", error=str(error))  # noqa: TRY400 - where says nothing


CHORES: dict[str, tuple[timedelta, timedelta, Callable[[Upstream, Stop], object]]] = {
    "balance": (timedelta(0), HOUR, _ask_for_the_balance),
    "purge": (HOUR, HOUR, lambda _upstream, _stop: rate_limits.purge()),
    "verify": (DAY, DAY, _verify),
}
