"""Make the renditions that batches want, in the background and at 0 credits.

A row in state *wanted* is claimed by moving its ``due_at`` ahead, which is its lease: if the process dies,
another one makes it afterwards. A rendition that nobody came to the end of in MAX_TAKES takes is given up:
perhaps it is what kills them. The file is stored before its row says *made*, and the same style always
makes the same file, so two processes at one rendition do no harm.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F, Func
from django.utils import timezone
from django.utils.translation import gettext_noop

from jobs.connections import DATABASE_AWAY
from jobs.models import Job, Rendition
from jobs.renditions import render
from jobs.renditions.render import RenditionError
from jobs.renditions.style import Style, StyleError
from jobs.storage import files
from jobs.storage.interruptible import Stop, keep_going
from pixian.protocol.errors import ServerFailed

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=2)
RETRY = timedelta(seconds=30)  # after a full disk, too many pictures at once, or a file that can't be read
MAX_TAKES = 5
OF_ONE_JOB = 8
"""Renditions of one picture that are made together: reading the master is most of the work."""

INVALID = gettext_noop("This style isn't valid any more. Choose another one.")
UNEXPECTED = gettext_noop("The picture couldn't be restyled. An operator needs to look at the log.")

State = Rendition.State


def make_wanted(stop: Stop = keep_going) -> int:
    """Make what is wanted until nothing is due; return the number of renditions that were dealt with."""
    dealt_with = 0
    while not stop() and (rows := claim()):
        if not _make(rows):
            break
        dealt_with += len(rows)
    return dealt_with


def claim() -> list[Rendition]:
    """Lease the rendition that is due first, and others of its picture; [] if none is due."""
    # As a literal, since SQLite uses a partial index only if the query has its condition word by word.
    wanted = Rendition.objects.filter(state=Func(template="'wanted'"))
    if not wanted.filter(due_at__lte=timezone.now()).exists():  # most looks end here, without a lock
        return []
    with transaction.atomic():
        now = timezone.now()
        skips_locked = connection.features.has_select_for_update_skip_locked
        due = wanted.filter(due_at__lte=now).order_by("due_at", "pk")
        due = due.select_for_update(skip_locked=skips_locked)
        first = due.first()
        if first is None:
            return []
        rows = list(due.filter(job=first.job_id)[:OF_ONE_JOB])
        taken = Rendition.objects.filter(pk__in=[row.pk for row in rows])
        taken.update(due_at=now + LEASE, takes=F("takes") + 1)
    return rows


def _make(rows: Sequence[Rendition]) -> bool:
    """Make renditions of one picture; return False if this isn't the time for it."""
    left = {row.pk: row for row in rows if row.takes < MAX_TAKES}
    _fail([row for row in rows if row.pk not in left], UNEXPECTED)
    try:
        styles = _styles(left)
        job = Job.objects.select_related("team", "reused_from").get(pk=rows[0].job_id)
        for style, error in render.make_each(job, list(styles)) if styles else ():
            row = left.pop(styles[style])
            if error:
                _fail([row], error.message)
    except RenditionError as error:
        _fail(left.values(), error.message)
    except (ServerFailed, OSError) as error:
        log.warning("renditions have to wait", job=rows[0].job_id, error=str(error))
        return _wait(left, error)
    except Job.DoesNotExist:
        log.info("a picture was deleted before it was restyled", job=rows[0].job_id)
    except DATABASE_AWAY:
        raise  # the lease runs out, and the rendition is made then
    except Exception:
        # Made again and again, it would keep the others from their turn.
        log.exception("a rendition failed in an unexpected way", job=rows[0].job_id)
        _fail(left.values(), UNEXPECTED)
    return True


def _styles(rows: dict[int, Rendition]) -> dict[Style, int]:
    """Return the rows' keys by their styles; a row whose style can't be read fails."""
    styles: dict[Style, int] = {}
    for row in list(rows.values()):
        try:
            styles[Style.parse(row.style)] = row.pk
        except StyleError:
            _fail([rows.pop(row.pk)], INVALID)
    return styles


def _wait(keys: Iterable[int], error: Exception) -> bool:
    """Let renditions be made later; return True if other pictures can be made meanwhile."""
    is_own = isinstance(error, OSError) and not files.concerns_all(error)
    # A file that can't be read may stay so. Its takes count, so that it is given up in the end.
    columns = {} if is_own else {"takes": 0}
    waiting = Rendition.objects.filter(pk__in=keys, state=State.WANTED)
    waiting.update(due_at=timezone.now() + RETRY, **columns)
    return is_own


def _fail(rows: Iterable[Rendition], problem: str) -> None:
    keys = [row.pk for row in rows]
    failed = Rendition.objects.filter(pk__in=keys, state=State.WANTED)
    failed.update(state=State.FAILED, problem=problem, due_at=None, updated_at=timezone.now())
