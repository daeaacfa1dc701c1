"""Each part of the instance, asked whether it is there, with a sentence for whoever runs it.

A part that doesn't answer makes its own line red and never the page fail.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.money import exact
from jobs import presence, slots, upstream
from jobs.models import Attempt, Job, Verification
from pixian import errors

MEGABYTE = 1024 * 1024
LITTLE_ROOM = 1024 * MEGABYTE
SLOW_QUEUE = timedelta(minutes=5)


@dataclass(frozen=True)
class Check:
    """One part: whether it is fine, and what there is to say."""

    name: str
    fine: bool
    says: str


def checks() -> list[Check]:
    return [Check(name, *_asked(ask)) for name, ask in _parts()]


Finding = tuple[bool, str]


def _parts() -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield _("Database"), _database
    yield _("Upstream"), _upstream
    yield _("Workers"), _workers
    if settings.CELERY_BROKER_URL:
        yield _("Broker"), _broker
    yield _("Queue"), _queue
    yield _("Disk"), _disk
    yield _("For review"), _review
    yield _("Books and files"), _books


def _asked(ask: Callable[[], Finding]) -> Finding:
    try:
        return ask()
    except (DatabaseError, OSError) as error:
        return False, str(error).strip()


def _database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, f"{connection.display_name}"


def _upstream() -> Finding:
    """Asks for the account, which costs nothing."""
    where = settings.PIXIAN_API_URL
    connected = upstream.connect()
    try:
        with connected.client as client:
            account = client.account()
    except errors.Unreachable as error:
        return False, _("%(where)s can't be reached: %(error)s") % {"where": where, "error": error}
    except errors.AccountRefused as error:
        return False, _("%(where)s refuses the account: %(error)s Look at PIXIAN_API_ID and _SECRET.") % {
            "where": where,
            "error": error,
        }
    except errors.ApiError as error:
        return False, _("What answers at %(where)s isn't Pixian: %(error)s Look at PIXIAN_API_URL.") % {
            "where": where,
            "error": error,
        }
    if not connected.charges:
        return True, _("The embedded engine answers.")
    return account.balance > 0, _("%(where)s answers; %(credits)s credits are left there.") % {
        "where": where,
        "credits": exact(account.balance),
    }


def _workers() -> Finding:
    there = list(presence.at_work())
    if not there:
        return False, _("No worker is running, so nothing is cut out.")
    names = ", ".join(f"{worker.worker} ({worker.threads})" for worker in there)
    return True, ngettext(
        "%(count)s process (threads): %(names)s", "%(count)s processes (threads): %(names)s", len(there)
    ) % {"count": len(there), "names": names}


def _broker() -> Finding:
    # By name, since an instance without a broker shouldn't carry Celery in its memory.
    return True, import_string("pixian_web.celery.ping")()


def _queue() -> Finding:
    now = timezone.now()
    waiting = Job.objects.filter(state=Job.State.QUEUED)
    oldest = (
        waiting.filter(run_after__lte=now).order_by("run_after").values_list("run_after", flat=True).first()
    )
    says = _("%(waiting)s waiting, %(running)s being cut out, %(free)s more calls may be made now.") % {
        "waiting": waiting.count(),
        "running": Job.objects.in_flight(now).count(),
        "free": max(0, slots.free_calls()),
    }
    if oldest is None:
        return True, says
    says += " " + _("The oldest has been due for %(time)s.") % {"time": timesince(oldest, now)}
    return not (_is_stalled(oldest, now)), says


def _is_stalled(oldest: datetime, now: datetime) -> bool:
    return now - oldest > SLOW_QUEUE and slots.free_calls() > 0


def _disk() -> Finding:
    free = shutil.disk_usage(settings.DATA_DIR).free
    says = _("%(free)s MB are free in %(folder)s.") % {"free": free // MEGABYTE, "folder": settings.DATA_DIR}
    return free > LITTLE_ROOM, says


def _review() -> Finding:
    count = Attempt.objects.for_review().distinct().count()
    if not count:
        return True, _("Every charge is explained.")
    says = ngettext(
        "%(count)s attempt waits for a person.", "%(count)s attempts wait for a person.", count
    ) % {"count": count}
    doubts = Attempt.objects.filter(state=Attempt.State.IN_DOUBT)
    if odd := doubts.filter(doubt=Attempt.Doubt.IMPLAUSIBLE).count():
        says += " " + ngettext(
            "%(count)s names a charge that can't be right.",
            "%(count)s name charges that can't be right.",
            odd,
        ) % {"count": odd}
    if stuck := doubts.filter(doubt=Attempt.Doubt.UNBOOKED).count():
        says += " " + ngettext("%(count)s couldn't be booked.", "%(count)s couldn't be booked.", stuck) % {
            "count": stuck
        }
    return False, says


def _books() -> Finding:
    last = Verification.objects.first()
    if last is None:
        return True, _("Not verified yet; it is done nightly, or now by manage.py verify.")
    when = timesince(last.at)
    if not last.findings:
        return True, _("Verified %(when)s ago, all in order.") % {"when": when}
    found = "; ".join(str(sentence) for _number, sentence in last.findings[:5])
    return False, _("Verified %(when)s ago: %(found)s") % {"when": when, "found": found}
