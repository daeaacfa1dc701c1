"""Check the work and the data: queue, disk, attempts to review, books."""

import tempfile
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Min, QuerySet, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Transfer
from jobs.audit.verify import rounds
from jobs.models import Attempt, Job, Verification
from jobs.queue import concurrency, stopping, workers
from jobs.storage import instance, quarantine, spool
from jobs.storage.volumes import volumes
from pixian_web.health.components import Finding

MEGABYTE = 1024 * 1024
LOW_DISK_BYTES = 1024 * MEGABYTE
SLOW_QUEUE = timedelta(minutes=5)
STARTS_WITHIN = timedelta(minutes=1)
"""A due job starts by then if a worker's thread and a call are free, even without a broker and Beat."""

VERIFIED_WITHIN = timedelta(hours=36)
"""Verification runs nightly."""

MAX_COUNTED = 10_000
MAX_CASES = 99
"""More cases than this are as bad as twice as many."""
HEADERS_SHOWN = 3


def calls() -> Finding:
    """Check that calls to the upstream may be made at all."""
    stopped = stopping.stopped()
    if stopped is None:
        return True, _("They are made.")
    return False, _("Stopped since %(when)s: %(why)s Staff start them on the page Upstream.") % {
        "when": f"{stopped.stopped_at:%Y-%m-%d %H:%M} UTC",
        "why": stopped.stopped_why,
    }


def queue() -> Finding:
    now = timezone.now()
    free = max(0, concurrency.free_calls())
    oldest = due_since(now)
    says = _("%(waiting)s waiting, %(running)s processing; %(free)s more calls may start now.") % {
        "waiting": _count(Job.objects.unfinished().filter(state=Job.State.QUEUED)),
        "running": _count(Job.objects.in_flight(now)),
        "free": free,
    }
    for_operator, is_stuck = _for_operator(), False
    if oldest is not None:
        is_stuck, since = _is_stuck(oldest, free, now)
        says += f" {since}"
    return not (is_stuck or for_operator), f"{says} {for_operator}".rstrip()


def _is_stuck(oldest: datetime, free: int, now: datetime) -> tuple[bool, str]:
    """Tell if due jobs wait although they could start, and since when they wait."""
    says = _("The oldest has been due for %(time)s.") % {"time": timesince(oldest, now)}
    idle = _idle_threads(now)
    if idle and free and now - oldest > STARTS_WITHIN:
        why = ngettext(
            "No worker takes it, although %(count)s thread is idle.",
            "No worker takes it, although %(count)s threads are idle.",
            idle,
        )
        return True, f"{says} {why % {'count': idle}}"
    patience = SLOW_QUEUE if workers.at_work().exists() else STARTS_WITHIN
    return bool(free) and now - oldest > patience, says


def _for_operator() -> str:
    """Say how many jobs wait for an operator, by reason, and name the oldest; empty if none do."""
    # Not ordered by key: SQLite would read all jobs there ever were for that.
    jobs = Job.objects.for_operator().order_by().values_list("reason", "pk")[:MAX_COUNTED]
    numbers: dict[str, list[int]] = {}
    for reason, number in jobs:
        numbers.setdefault(reason, []).append(number)
    return " ".join(
        ngettext(
            "Picture %(number)s waits: %(why)s",
            "Picture %(number)s and others wait, %(count)s together: %(why)s",
            len(found),
        )
        % {"number": min(found), "count": len(found), "why": Job.Reason(reason).label}
        for reason, found in sorted(numbers.items())
    )


def due_since(now: datetime) -> datetime | None:
    """Return since when the oldest due job has waited: queued, or left behind by a dead worker."""
    due = Job.objects.claimable(now)
    queued = due.filter(state=Job.State.QUEUED).aggregate(since=Min("run_after"))["since"]
    abandoned = due.filter(state=Job.State.RUNNING).aggregate(since=Min("lease_until"))["since"]
    return min((since for since in (queued, abandoned) if since), default=None)


def _idle_threads(now: datetime) -> int:
    threads = workers.at_work().aggregate(all=Sum("threads"))["all"] or 0
    at_work = Job.objects.in_flight(now).filter(origin=Job.Origin.BROWSER).count()
    return max(0, threads - at_work - Job.objects.asked_to_wait(now).count())


def _count(rows: QuerySet[Any]) -> str:
    """Return the number of rows, counting no further than is useful to know."""
    number = rows[: MAX_COUNTED + 1].count()
    text = number_format(min(number, MAX_COUNTED), force_grouping=True)
    return text if number <= MAX_COUNTED else _("more than %(count)s") % {"count": text}


def disk() -> Finding:
    """Check the free space of every volume."""
    says, fine = [], True
    for volume in volumes():
        says.append(
            _("%(free)s MB free in %(folder)s, %(percent)s %% used.")
            % {
                "free": number_format(volume.free_bytes // MEGABYTE, force_grouping=True),
                "folder": volume.folder,
                "percent": volume.percent_used,
            }
        )
        fine = fine and volume.free_bytes > LOW_DISK_BYTES
    return fine, " ".join(says)


def storage() -> Finding:
    """Check that the storage takes a file, and that the files in it are this database's."""
    with tempfile.TemporaryFile(dir=spool.folder()) as file:
        file.write(b"\0")
        file.flush()
    try:
        instance.check()
    except instance.ForeignFilesError as error:
        return False, str(error)
    if spool.root() is None:
        return True, _("The bucket %(bucket)s is responding.") % {"bucket": settings.S3_BUCKET}
    return True, _("The storage is responding, and its files belong to this database.")


def files() -> Finding:
    """Check the storage, and count what is in quarantine."""
    fine, says = storage()
    if count := sum(1 for _file in islice(quarantine.contents(), MAX_COUNTED)):
        message = ngettext(
            "%(count)s file that no job refers to is in quarantine; see manage.py quarantine.",
            "%(count)s files that no job refers to are in quarantine; see manage.py quarantine.",
            count,
        )
        says += " " + message % {"count": count}
    return fine, says


def review() -> Finding:
    waiting = waiting_for_review()
    if not waiting:
        return True, _("Every charge is explained.")
    says = _needs_review(waiting)
    doubts = Attempt.objects.for_review().filter(state=Attempt.State.IN_DOUBT)
    if implausible := _first(doubts.filter(doubt=Attempt.Doubt.IMPLAUSIBLE)):
        says += " " + ngettext(
            "%(count)s has an implausible charge.",
            "%(count)s have implausible charges.",
            implausible,
        ) % {"count": up_to_99(implausible)}
        headers = (
            doubts.filter(doubt=Attempt.Doubt.IMPLAUSIBLE)
            .order_by("-pk")
            .values_list("charged_header", flat=True)
        )
        # As it came: the operator has to see what the upstream said.
        says += " " + ", ".join(f"X-Credits-Charged: {header}" for header in headers[:HEADERS_SHOWN]) + "."
    if unbooked := _first(doubts.filter(doubt=Attempt.Doubt.UNBOOKED)):
        says += " " + ngettext("%(count)s couldn't be booked.", "%(count)s couldn't be booked.", unbooked) % {
            "count": up_to_99(unbooked)
        }
    return False, says


def waiting_for_review() -> int:
    """Return how many attempts a person has to look at, or one more than ``MAX_CASES``."""
    return _first(Attempt.objects.for_review())


def _needs_review(count: int) -> str:
    text = ngettext("%(count)s attempt needs a review.", "%(count)s attempts need a review.", count)
    return text % {"count": up_to_99(count)}


def _first(rows: QuerySet[Any]) -> int:
    """Return how many rows there are, or one more than ``MAX_CASES``."""
    return len(rows.order_by().values_list("pk", flat=True)[: MAX_CASES + 1])


def up_to_99(count: int) -> str:
    return str(count) if count <= MAX_CASES else f"{MAX_CASES}+"


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
    return True, _("Verified %(when)s ago; no findings.") % {"when": when} + " " + _results_read(now)


def _results_read(now: datetime) -> str:
    """Say since when every stored result has been read, of which a night reads only a share."""
    if since := rounds.complete_since():
        return _("Every result was read at most %(time)s ago.") % {"time": timesince(since, now)}
    return _("The first round over all results isn't complete yet.")
