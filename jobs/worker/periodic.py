"""Run the periodic tasks, each by one worker of all.

The account's balance is recorded, the books are verified, webhooks that fail are switched off, what teams
don't keep any longer is erased, and what has run out is purged: rate limits, sessions, invitations, uploads
that nobody finished, and old events.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog
from django.core.management import call_command
from django.utils import timezone

from accounts import rate_limits
from accounts.teams import invitations
from jobs.audit import balance_snapshots, verify
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY
from jobs.events import old_events, webhooks
from jobs.intake import chunks
from jobs.models import PeriodicTask
from jobs.retention import due, quota
from jobs.storage import instance, interruptible, strays
from jobs.storage.interruptible import Stop, StoppedError
from pixian.protocol.errors import PixianError

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60
BEAT = "beat"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def run_due(upstream: Upstream, stop: Stop = interruptible.keep_going) -> None:
    """Run each task that is due. Nothing that goes wrong here stops a worker.

    stop: asked now and then by a task that takes long, which ends early once it returns True.
    """
    for name, (first, every, run) in TASKS.items():
        try:
            if _claim(name, first, every):
                run(upstream, stop)
                note_run(name)
        except (*DATABASE_AWAY, OSError, PixianError) as error:
            log.warning("a periodic task failed", task=name, error=str(error).strip())
        except Exception:
            log.exception("a periodic task failed in an unexpected way", task=name)


def note_run(name: str) -> None:
    """Record that a task came to its end."""
    PeriodicTask.objects.filter(name=name).update(ran_at=timezone.now())


def note_beat(every: timedelta) -> None:
    """Record that Celery's beat is alive, at most this often."""
    now = timezone.now()
    PeriodicTask.objects.get_or_create(name=BEAT, defaults={"due_at": now})
    PeriodicTask.objects.filter(name=BEAT, due_at__lte=now).update(due_at=now + every, ran_at=now)


def _claim(name: str, first: timedelta, every: timedelta) -> bool:
    """Claim the task if it is due; only one process succeeds."""
    now = timezone.now()
    PeriodicTask.objects.get_or_create(name=name, defaults={"due_at": now + first})
    due = PeriodicTask.objects.filter(name=name, due_at__lte=now)
    return bool(due.update(due_at=now + every, started_at=now))


def _record_balance(upstream: Upstream, _stop: Stop) -> None:
    if balance_snapshots.should_wait():
        PeriodicTask.objects.filter(name="balance").update(due_at=timezone.now())
    else:
        balance_snapshots.take(upstream)


def _purge_limits(_upstream: Upstream, stop: Stop) -> None:
    """Purge all rate limits that are due; guesses from many addresses may leave more than one call takes."""
    while rate_limits.purge() >= rate_limits.MOST_PURGED and not stop():
        pass


def _verify(_upstream: Upstream, stop: Stop) -> None:
    try:
        _quarantine(stop)  # crashes leave files that no row names, and the books aren't wrong for it
        findings = verify.run(nightly=True, stop=stop).findings
    except StoppedError:
        PeriodicTask.objects.filter(name="verify").update(due_at=timezone.now())
        return
    if findings:
        log.error("manage.py verify finds the books or files wrong", findings=findings)


def _quarantine(stop: Stop) -> None:
    try:
        instance.establish()
        strays.sweep(stop=stop)
    except instance.ForeignFilesError as error:
        log.error("the files belong to another database", error=str(error))  # noqa: TRY400 - the place says nothing


TASKS: dict[str, tuple[timedelta, timedelta, Callable[[Upstream, Stop], object]]] = {
    "balance": (timedelta(0), balance_snapshots.EVERY, _record_balance),
    "chunks": (HOUR, HOUR, lambda _upstream, stop: chunks.purge(stop)),
    "events": (HOUR, HOUR, lambda _upstream, stop: old_events.purge(stop)),
    "webhooks": (HOUR, HOUR, lambda _upstream, stop: webhooks.switch_off_failing(stop)),
    "purge": (HOUR, HOUR, _purge_limits),
    "sessions": (HOUR, HOUR, lambda _upstream, _stop: call_command("clearsessions")),
    "invitations": (HOUR, DAY, lambda _upstream, _stop: invitations.purge()),
    "retention": (MINUTE, 5 * MINUTE, lambda _upstream, stop: due.run(stop)),
    "quota": (MINUTE, HOUR, lambda _upstream, _stop: quota.measure()),
    "verify": (DAY, DAY, _verify),
}
