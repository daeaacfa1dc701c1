"""Check the components of an instance: database, upstream, processes, broker."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.ledger.money import exact, for_plural
from jobs.audit import balance_snapshots
from jobs.calls import upstream
from jobs.models import PeriodicTask, UpstreamAccount, WorkerHeartbeat
from jobs.queue import workers
from jobs.queue.workers import Kind
from jobs.search import name_index
from jobs.worker import periodic
from pixian.protocol import errors

TASK_LATE = timedelta(minutes=5)
"""A periodic task that hasn't run by then won't."""

NIGHT_LONG = timedelta(hours=2)
"""A verification takes no longer: half an hour to read results, besides the books and all files' names."""

BEAT_LATE = timedelta(minutes=1)
NEARLY_ALL = 0.9
PATIENCE_SECONDS = 5
"""An upstream that takes longer to say its balance needs attention, whatever it says then."""

Finding = tuple[bool, str]
"""Is the part fine, and a sentence about it."""


def database() -> Finding:
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("SELECT 1")
            return True, f"{connection.display_name}"
        cursor.execute(
            "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity "
            "WHERE datid IS NOT NULL AND usesysid IS NOT NULL"  # visible to every database user
        )
        used, limit = cursor.fetchone() or (0, 0)
    return used < NEARLY_ALL * limit, _("%(database)s; %(taken)s of %(most)s connections are in use.") % {
        "database": connection.display_name,
        "taken": used,
        "most": limit,
    }


def last_balance() -> str:
    """Say what the upstream answered last, from the stored balances."""
    last = balance_snapshots.latest(UpstreamAccount.objects.of_settings())
    if last is None:
        return _("No balance of %(where)s is stored yet.") % {"where": settings.PIXIAN_API_URL}
    text = ngettext(
        "%(when)s ago %(credits)s credit was left at %(where)s.",
        "%(when)s ago %(credits)s credits were left at %(where)s.",
        for_plural(last.microcredits),
    )
    return text % {
        "when": timesince(last.came_at),
        "credits": exact(last.microcredits),
        "where": settings.PIXIAN_API_URL,
    }


def name_search() -> Finding:
    """Check for the index of names, which an operator may have to allow."""
    if name_index.is_there():
        return True, _("Names of pictures are indexed.")
    return False, _(
        "The database has no index of names, so a search for a rare one takes many steps. Let the database "
        "user create the extension pg_trgm, then run manage.py migrate."
    )


def upstream_account() -> Finding:
    """Ask the upstream for the account, which costs nothing."""
    where = settings.PIXIAN_API_URL
    connected = upstream.connect()
    try:
        with connected.client as client:
            account = client.account(PATIENCE_SECONDS)
    except errors.Unreachable as error:
        return False, _("%(where)s can't be reached: %(error)s") % {"where": where, "error": error}
    except errors.AccountRefused as error:
        return False, _(
            "%(where)s rejects the account: %(error)s Check PIXIAN_API_ID and PIXIAN_API_SECRET."
        ) % {
            "where": where,
            "error": error,
        }
    except errors.ApiError as error:
        return False, _("%(where)s isn't a Pixian server: %(error)s Check PIXIAN_API_URL.") % {
            "where": where,
            "error": error,
        }
    if not connected.charges:
        return True, _("The embedded engine is responding.")
    text = ngettext(
        "%(where)s is responding; %(credits)s credit is left there.",
        "%(where)s is responding; %(credits)s credits are left there.",
        for_plural(account.balance),
    )
    return account.balance > 0, text % {
        "where": where,
        "credits": exact(account.balance),
    }


def web_processes() -> Finding:
    running = list(workers.at_work(Kind.WEB))
    fine = len(running) >= settings.WEB_PROCESSES
    if fine:
        return True, _names(running)
    says = _("%(count)s of %(wanted)s web processes are running.") % {
        "count": len(running),
        "wanted": settings.WEB_PROCESSES,
    }
    return False, f"{says} {_names(running)}" if running else says


def running_workers() -> Finding:
    running = list(workers.at_work())
    if not running:
        return False, _("No worker is running, so no picture is processed.")
    how = (
        _("They are notified through the broker.")
        if settings.CELERY_BROKER_URL
        else _("They poll the database.")
    )
    return True, f"{_names(running)}. {how}"


def _names(processes: list[WorkerHeartbeat]) -> str:
    names = ", ".join(f"{process.worker} ({process.threads})" for process in processes)
    return ngettext(
        "%(count)s process (threads): %(names)s", "%(count)s processes (threads): %(names)s", len(processes)
    ) % {"count": len(processes), "names": names}


def broker() -> Finding:
    # Imported by name: an instance without a broker shouldn't load Celery.
    return True, import_string("pixian_web.celery.ping")()


def beat() -> Finding:
    """Check when a worker last recorded that Beat had sent it a task."""
    ran_at = PeriodicTask.objects.filter(name=periodic.BEAT).values_list("ran_at", flat=True).first()
    if ran_at is None:
        return False, _("Nothing has come from Beat yet. Check that Beat and a worker are running.")
    fine = timezone.now() - ran_at < BEAT_LATE
    says = _("Last seen %(when)s ago.") % {"when": timesince(ran_at)}
    if not fine:
        says += " " + _("Jobs still start, at most a few seconds later; periodic tasks don't run.")
    return fine, says


def periodic_tasks() -> Finding:
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__in=periodic.TASKS)}
    if not rows:
        return False, _("No task has run yet. A worker runs them.")
    now = timezone.now()
    late = [name for name, row in rows.items() if row.due_at < now - TASK_LATE or _has_failed(row, now)]
    says = ", ".join(f"{name}: {_last_run(row)}" for name, row in sorted(rows.items()))
    if late:
        return False, _("%(tasks)s. Late or failed (see the log): %(late)s.") % {
            "tasks": says,
            "late": ", ".join(sorted(late)),
        }
    return True, f"{says}."


def _has_failed(row: PeriodicTask, now: datetime) -> bool:
    """Return True if the last run was started long ago and hasn't come to its end."""
    if row.started_at is None or (row.ran_at and row.ran_at >= row.started_at):
        return False
    return row.started_at < now - (NIGHT_LONG if row.name == "verify" else TASK_LATE)


def _last_run(row: PeriodicTask) -> str:
    if row.ran_at is None:
        return _("not yet")
    return _("%(when)s ago") % {"when": timesince(row.ran_at)}
