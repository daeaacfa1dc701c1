"""Check the work and the data: queue, disk, attempts to review, books."""

import shutil
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Min, QuerySet, Sum
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Transfer
from jobs.models import Attempt, Job, Verification
from jobs.queue import concurrency, workers
from jobs.storage import instance, quarantine, spool
from pixian_web.health.components import Finding

MEGABYTE = 1024 * 1024
LOW_DISK_BYTES = 1024 * MEGABYTE
SLOW_QUEUE = timedelta(minutes=5)
STARTS_WITHIN = timedelta(minutes=1)
"""A due job starts by then if a worker's thread and a call are free, even without a broker and Beat."""

VERIFIED_WITHIN = timedelta(hours=36)
"""Verification runs nightly."""

MAX_COUNTED = 10_000


def queue() -> Finding:
    now = timezone.now()
    free = max(0, concurrency.free_calls())
    oldest = _due_since(now)
    says = _("%(waiting)s waiting, %(running)s processing; %(free)s more calls may start now.") % {
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
    is_stuck = free and now - oldest > (SLOW_QUEUE if workers.at_work().exists() else STARTS_WITHIN)
    return not is_stuck, says


def _due_since(now: datetime) -> datetime | None:
    """Return since when the oldest due job has waited: queued, or left behind by a dead worker."""
    due = Job.objects.claimable(now)
    queued = due.filter(state=Job.State.QUEUED).aggregate(since=Min("run_after"))["since"]
    abandoned = due.filter(state=Job.State.RUNNING).aggregate(since=Min("lease_until"))["since"]
    return min((since for since in (queued, abandoned) if since), default=None)


def _idle_threads(now: datetime) -> int:
    threads = workers.at_work().aggregate(all=Sum("threads"))["all"] or 0
    return max(0, threads - Job.objects.in_flight(now).filter(origin=Job.Origin.BROWSER).count())


def _count(rows: QuerySet[Any]) -> str:
    """Return the number of rows, counting no further than is useful to know."""
    number = rows[: MAX_COUNTED + 1].count()
    return str(number) if number <= MAX_COUNTED else _("more than %(count)s") % {"count": f"{MAX_COUNTED:,}"}


def disk() -> Finding:
    """Check the free space of every volume, whose files they are, and what is in quarantine."""
    says, fine = [], True
    for folder in _volumes():
        free = shutil.disk_usage(folder).free
        says.append(_("%(free)s MB free in %(folder)s.") % {"free": free // MEGABYTE, "folder": folder})
        fine = fine and free > LOW_DISK_BYTES
    try:
        instance.check()
    except instance.ForeignFilesError as error:
        says.append(str(error))
        fine = False
    if count := sum(1 for _file in islice(quarantine.contents(), MAX_COUNTED)):
        message = ngettext(
            "%(count)s file that no job refers to is in quarantine; see manage.py quarantine.",
            "%(count)s files that no job refers to are in quarantine; see manage.py quarantine.",
            count,
        )
        says.append(message % {"count": count})
    return fine, " ".join(says)


def _volumes() -> list[Path]:
    """Return one folder for each file system that holds data; the files may be on one of their own."""
    folders = [Path(settings.DATA_DIR), *([root] if (root := spool.root()) else [])]
    by_volume = {folder.stat().st_dev: folder for folder in reversed(folders) if folder.exists()}
    return list(reversed(by_volume.values()))


def review() -> Finding:
    count = Attempt.objects.for_review().count()
    if not count:
        return True, _("Every charge is explained.")
    says = ngettext("%(count)s attempt needs a review.", "%(count)s attempts need a review.", count) % {
        "count": count
    }
    doubts = Attempt.objects.filter(state=Attempt.State.IN_DOUBT)
    if implausible := doubts.filter(doubt=Attempt.Doubt.IMPLAUSIBLE).count():
        says += " " + ngettext(
            "%(count)s has an implausible charge.",
            "%(count)s have implausible charges.",
            implausible,
        ) % {"count": implausible}
    if unbooked := doubts.filter(doubt=Attempt.Doubt.UNBOOKED).count():
        says += " " + ngettext("%(count)s couldn't be booked.", "%(count)s couldn't be booked.", unbooked) % {
            "count": unbooked
        }
    return False, says


def books() -> Finding:
    now = timezone.now()
    last = Verification.objects.first()
    if last is None:
        unverified = Transfer.objects.filter(created_at__lt=now - VERIFIED_WITHIN).exists()
        return not unverified, _("Not verified yet. Verification runs nightly; manage.py verify runs it now.")
    when = timesince(last.at)
    if last.findings:
        sentences = "; ".join(str(sentence) for _number, sentence in last.findings[:5])
        return False, _("Verified %(when)s ago: %(found)s") % {"when": when, "found": sentences}
    if now - last.at > VERIFIED_WITHIN:
        return False, _(
            "Last verified %(when)s ago, although verification runs nightly. See the periodic tasks."
        ) % {"when": when}
    return True, _("Verified %(when)s ago; no findings.") % {"when": when}
