"""Notice that the database was restored from a backup, and make no call until a person has looked.

A database that went back in time has forgotten calls that were sent, and charged, after the backup. Its
queue still has their pictures, which would be paid a second time. This machine remembers the newest attempt
in a file in its ``DATA_DIR``. Two things tell of a restore: the database doesn't have that attempt any more;
or, when the instance starts, it has attempts and there is no such file, since ``DATA_DIR`` is new as well.
"""

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from jobs.connections import DATABASE_AWAY, give_back
from jobs.models import Attempt, Ramp
from jobs.queue import stopping, workers

log = structlog.get_logger(__name__)

NAME = "newest-attempt"


def check_prepared() -> None:
    """Check before the processes start, and stop all calls also if the machine is new and the calls aren't.

    A new machine that joins others at work stops nothing: their heartbeats show that the database is live.
    """
    if not _path().exists() and Attempt.objects.exists() and not _is_at_work():
        why = _(
            "This machine's DATA_DIR is new, and the database isn't: it may be a backup. Pictures that wait "
            "here may have been sent and charged since then."
        )
        if stopping.stop(why):
            log.error("the database may be a backup, so no calls are made")
    check()


def check() -> None:
    """Stop all calls if the database lacks what this machine remembers, or else remember what is newest."""
    known = _remembered()
    if known and not _has(*known) and not _accepted(known[1]):
        why = _(
            "The database was restored: call %(number)s of %(when)s isn't in it any more. Pictures that wait "
            "here may have been sent and charged since the backup."
        )
        if stopping.stop(why % {"number": known[0], "when": f"{known[1]:%Y-%m-%d %H:%M:%S} UTC"}):
            log.error("the database was restored, so no calls are made", attempt=known[0])
        return
    newest = Attempt.objects.order_by("-pk").values_list("pk", "prepared_at").first()
    if newest != known or not _path().exists():
        _remember(newest)


def check_at_start() -> None:
    """Check before a process works; if the database is away, the process looks again with its first beat."""
    with suppress(*DATABASE_AWAY):
        check()
    give_back()  # the thread that starts a process only waits from here on


def _is_at_work() -> bool:
    return any(workers.at_work(kind).exists() for kind in workers.Kind)


def _has(pk: int, prepared_at: datetime) -> bool:
    return Attempt.objects.filter(pk=pk, prepared_at=prepared_at).exists()


def _accepted(moment: datetime) -> bool:
    """Tell if a person has started the calls again since."""
    return Ramp.objects.filter(pk=1, stopped_at=None, started_at__gt=moment).exists()


def _remembered() -> tuple[int, datetime] | None:
    try:
        pk, prepared_at = json.loads(_path().read_text())
        return int(pk), datetime.fromisoformat(prepared_at)
    except (FileNotFoundError, ValueError, TypeError):  # none yet, or half of one before a power cut
        return None


def _remember(newest: tuple[int, datetime] | None) -> None:
    """Write the file, also while there is no attempt yet: from then on it isn't a new machine."""
    coming = _path().with_name(f".{NAME}-{uuid4().hex}")
    try:
        coming.write_text(json.dumps(newest and [newest[0], newest[1].isoformat()]))
        coming.replace(_path())
    except OSError as error:  # the disk is full; the next look tries again
        coming.unlink(missing_ok=True)
        log.warning("the newest call couldn't be remembered", error=str(error))


def _path() -> Path:
    return Path(settings.DATA_DIR, NAME)
