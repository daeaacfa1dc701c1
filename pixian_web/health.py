"""Each part of the instance, asked whether it is there, with a sentence for whoever runs it.

A part that doesn't answer makes its own line red and never the page fail.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Min, QuerySet, Sum
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.ledger.money import exact
from accounts.models import Transfer
from jobs.calls import upstream
from jobs.models import Attempt, Job, PeriodicTask, Verification, WorkerHeartbeat
from jobs.queue import concurrency, workers
from jobs.queue.workers import Kind
from jobs.storage import instance, quarantine, spool
from jobs.worker import periodic
from pixian.protocol import errors

log = structlog.get_logger(__name__)

MEGABYTE = 1024 * 1024
LITTLE_ROOM = 1024 * MEGABYTE
SLOW_QUEUE = timedelta(minutes=5)
STARTS_WITHIN = timedelta(minutes=1)
"""A due job, while a worker's thread and a call are free; with neither message nor beat too."""

LATE = timedelta(minutes=5)
"""A periodic task that hasn't run by then isn't going to."""

BEAT_LATE = timedelta(minutes=1)
VERIFIED_WITHIN = timedelta(hours=36)
"""It is done nightly."""

MOST_COUNTED = 10_000
NEARLY_ALL = 0.9


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
    yield _("Web processes"), _web
    yield _("Workers"), _workers
    if settings.CELERY_BROKER_URL:
        yield _("Broker"), _broker
        yield _("Beat"), _beat
    yield _("Periodic tasks"), _periodic_tasks
    yield _("Queue"), _queue
    yield _("Disk"), _disk
    yield _("For review"), _review
    yield _("Books and files"), _books


def _asked(ask: Callable[[], Finding]) -> Finding:
    try:
        return ask()
    except (OperationalError, InterfaceError, OSError) as error:
        return False, str(error).strip()
    except Exception:
        log.exception("a part's health can't be told")
        return False, _("This check failed itself. The log says why.")


def _database() -> Finding:
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("SELECT 1")
            return True, f"{connection.display_name}"
        cursor.execute(
            "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity "
            "WHERE datid IS NOT NULL AND usesysid IS NOT NULL"  # what every user may see of the others'
        )
        taken, most = cursor.fetchone() or (0, 0)
    return taken < NEARLY_ALL * most, _("%(database)s; %(taken)s of %(most)s connections are taken.") % {
        "database": connection.display_name,
        "taken": taken,
        "most": most,
    }


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


def _web() -> Finding:
    there = list(workers.at_work(Kind.WEB))
    fine = len(there) >= settings.WEB_PROCESSES
    if fine:
        return True, _named(there)
    says = _("%(count)s of %(wanted)s web processes are there.") % {
        "count": len(there),
        "wanted": settings.WEB_PROCESSES,
    }
    return False, f"{says} {_named(there)}" if there else says


def _workers() -> Finding:
    there = list(workers.at_work())
    if not there:
        return False, _("No worker is running, so nothing is cut out.")
    how = (
        _("They are woken through the broker.")
        if settings.CELERY_BROKER_URL
        else _("They poll the database.")
    )
    return True, f"{_named(there)}. {how}"


def _named(there: list[WorkerHeartbeat]) -> str:
    names = ", ".join(f"{process.worker} ({process.threads})" for process in there)
    return ngettext(
        "%(count)s process (threads): %(names)s", "%(count)s processes (threads): %(names)s", len(there)
    ) % {"count": len(there), "names": names}


def _broker() -> Finding:
    # By name, since an instance without a broker shouldn't carry Celery in its memory.
    return True, import_string("pixian_web.celery.ping")()


def _beat() -> Finding:
    """Reads what a worker noted when it carried out an announcement of Beat's."""
    ran_at = PeriodicTask.objects.filter(name=periodic.BEAT).values_list("ran_at", flat=True).first()
    if ran_at is None:
        return False, _("Nothing has come from Beat yet. Is it running, and a worker?")
    fine = timezone.now() - ran_at < BEAT_LATE
    says = _("Last heard of %(when)s ago.") % {"when": timesince(ran_at)}
    if not fine:
        says += " " + _("Jobs are begun all the same, up to a few seconds later; periodic tasks aren't run.")
    return fine, says


def _periodic_tasks() -> Finding:
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__in=periodic.CHORES)}
    if not rows:
        return False, _("None has run yet. A worker runs them.")
    now = timezone.now()
    late = [name for name, row in rows.items() if row.due_at < now - LATE or _has_failed(row, now)]
    says = ", ".join(f"{name}: {_last_run(row)}" for name, row in sorted(rows.items()))
    if late:
        return False, _("%(tasks)s. Late, or failed (see the log): %(late)s.") % {
            "tasks": says,
            "late": ", ".join(sorted(late)),
        }
    return True, f"{says}."


def _has_failed(row: PeriodicTask, now: datetime) -> bool:
    """Whether it was begun and never came to its end."""
    _first, every, _do = periodic.CHORES[row.name]
    begun_at = row.due_at - every
    return row.ran_at is not None and row.ran_at < begun_at < now - LATE


def _last_run(row: PeriodicTask) -> str:
    if row.ran_at is None:
        return _("not yet")
    return _("%(when)s ago") % {"when": timesince(row.ran_at)}


def _queue() -> Finding:
    now = timezone.now()
    free = max(0, concurrency.free_calls())
    oldest = _due_since(now)
    says = _("%(waiting)s waiting, %(running)s being cut out, %(free)s more calls may be made now.") % {
        "waiting": _count(Job.objects.unfinished().filter(state=Job.State.QUEUED)),
        "running": _count(Job.objects.in_flight(now)),
        "free": free,
    }
    if oldest is None:
        return True, says
    says += " " + _("The oldest has been due for %(time)s.") % {"time": timesince(oldest, now)}
    idle = _idle_threads(now)
    if idle and free and now - oldest > STARTS_WITHIN:
        why = ngettext(
            "No worker takes it, although %(count)s thread is idle.",
            "No worker takes it, although %(count)s threads are idle.",
            idle,
        )
        return False, f"{says} {why % {'count': idle}}"
    stands = free and now - oldest > (SLOW_QUEUE if workers.at_work().exists() else STARTS_WITHIN)
    return not stands, says


def _due_since(now: datetime) -> datetime | None:
    """Since when the job has waited that has been due for the longest: queued, or left by a dead worker."""
    due = Job.objects.claimable(now)
    queued = due.filter(state=Job.State.QUEUED).aggregate(since=Min("run_after"))["since"]
    left = due.filter(state=Job.State.RUNNING).aggregate(since=Min("lease_until"))["since"]
    return min((since for since in (queued, left) if since), default=None)


def _idle_threads(now: datetime) -> int:
    """Of living workers."""
    threads = workers.at_work().aggregate(all=Sum("threads"))["all"] or 0
    return max(0, threads - Job.objects.in_flight(now).filter(origin=Job.Origin.BROWSER).count())


def _count(rows: QuerySet[Any]) -> str:
    """Their number; no more are counted than anybody needs to know."""
    number = rows[: MOST_COUNTED + 1].count()
    return (
        str(number) if number <= MOST_COUNTED else _("more than %(count)s") % {"count": f"{MOST_COUNTED:,}"}
    )


def _disk() -> Finding:
    """Every volume that something is written to, whose files they are, and what was moved aside."""
    says, fine = [], True
    for folder in _volumes():
        free = shutil.disk_usage(folder).free
        says.append(_("%(free)s MB are free in %(folder)s.") % {"free": free // MEGABYTE, "folder": folder})
        fine = fine and free > LITTLE_ROOM
    try:
        instance.check()
    except instance.ForeignFilesError as error:
        says.append(str(error))
        fine = False
    if count := sum(1 for _file in islice(quarantine.kept(), MOST_COUNTED)):
        told = ngettext(
            "%(count)s file that no job names lies in quarantine; manage.py quarantine says more.",
            "%(count)s files that no job names lie in quarantine; manage.py quarantine says more.",
            count,
        )
        says.append(told % {"count": count})
    return fine, " ".join(says)


def _volumes() -> list[Path]:
    """One folder on each file system that holds data; the files may have one of their own."""
    folders = [Path(settings.DATA_DIR), *([root] if (root := spool.root()) else [])]
    by_volume = {folder.stat().st_dev: folder for folder in reversed(folders) if folder.exists()}
    return list(reversed(by_volume.values()))


def _review() -> Finding:
    count = Attempt.objects.for_review().count()
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
    now = timezone.now()
    last = Verification.objects.first()
    if last is None:
        unlooked_at = Transfer.objects.filter(created_at__lt=now - VERIFIED_WITHIN).exists()
        return not unlooked_at, _("Not verified yet; it is done nightly, or now by manage.py verify.")
    when = timesince(last.at)
    if last.findings:
        found = "; ".join(str(sentence) for _number, sentence in last.findings[:5])
        return False, _("Verified %(when)s ago: %(found)s") % {"when": when, "found": found}
    if now - last.at > VERIFIED_WITHIN:
        return False, _("Last verified %(when)s ago, though it is done nightly. See the periodic tasks.") % {
            "when": when
        }
    return True, _("Verified %(when)s ago, all in order.") % {"when": when}
