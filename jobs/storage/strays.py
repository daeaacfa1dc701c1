"""Find stored files that no row refers to, and move them to quarantine.

A file without a row may be what a crash left behind, or the paid result of a job that the database has
forgotten because it was restored from an older copy. Nothing here can tell the two apart, so nothing is
deleted. Files are moved only if the folder belongs to this database (``jobs.storage.instance``) and if they
are few: more than ``MAX_FILES``, or than one in ``MAX_SHARE`` of all, aren't a crash's leftovers and are only
reported. One file always counts as few; otherwise a store of fewer than a hundred files could never be
tidied.

In a bucket, a file is moved by a copy. Results in this machine's own spool can't be moved there, and are only
reported, as are all strays of a storage without any such way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.storage import instance, interruptible, inventory, leftovers, quarantine, spool
from jobs.storage.interruptible import Stop, unless_stopped
from jobs.storage.name_set import NameSet

log = structlog.get_logger(__name__)

MAX_FILES = 20
MAX_SHARE = 100
GRACE = timedelta(hours=1)
"""A file is stored before its row is written; after this long, no row follows any more."""


@dataclass(frozen=True)
class Report:
    """The result of a sweep. ``left``: strays that weren't moved, because there are too many or no way to."""

    moved: list[str]
    left: list[str]
    total: int


def find_strays(
    names: Iterable[str], stop: Stop = interruptible.keep_going, age: timedelta | None = None
) -> Iterator[str]:
    """Yield those of the stored files that no row refers to, nor will. age: the least; ``GRACE`` if None."""
    before = timezone.now() - (age or GRACE)
    unreferenced = [name for name in sorted(inventory.unreferenced(names, stop)) if _is_from(before, name)]
    # Ask again: a row may have been written after the first query.
    referenced = inventory.referenced(unreferenced)
    yield from (name for name in unreferenced if name not in referenced)


def sweep(*, stop: Stop = interruptible.keep_going, limited: bool = True) -> Report:
    """Move strays to quarantine, or only report them if they are too many.

    Raises ForeignFilesError if the files belong to another database, and StoppedError.
    """
    instance.check()
    names = NameSet()
    listing = names.adding(unless_stopped(stop, inventory.stored_names()))
    strays, unclaimed = list(find_strays(listing, stop)), list(_unclaimed_results())
    if spool.root() is None and unclaimed:
        log.error("results that no job waits for lie in this machine's spool", files=unclaimed)
    else:
        strays += unclaimed
    limit = min(MAX_FILES, max(1, len(names) // MAX_SHARE))
    if strays and (not quarantine.is_possible() or (limited and len(strays) > limit)):
        log.error("files that no row refers to were left in place", files=len(strays), of=len(names))
        return Report([], strays, len(names))
    return Report(quarantine.move(unless_stopped(stop, strays)), [], len(names))


def _unclaimed_results() -> Iterator[str]:
    """Yield complete results in the spool whose call no worker will resume."""
    stems = {spool.stem_by(name) for name in inventory.unbooked_results()}
    for path in leftovers.unclaimed():
        if path.name.split(".")[0] not in stems:
            yield f"{spool.NAME}/{path.name}"


def _is_from(before: datetime, name: str) -> bool:
    try:
        return default_storage.get_modified_time(name) <= before
    except FileNotFoundError:
        return False
