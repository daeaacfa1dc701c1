"""Delete the files of erased pictures: sources, results, renditions and previews.

The jobs that show the same files are a family, of one root. Its files go once all of it is erased, and
``purged_at`` says so only when they are gone. So an interrupted run is repeated, and finds less to delete.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from django.core.files.storage import default_storage
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs.models import Job, Rendition
from jobs.queue import claims
from jobs.storage import quarantine, spool
from jobs.storage.interruptible import Stop, keep_going

log = structlog.get_logger(__name__)

GRACE = timedelta(minutes=5)
"""Longer than a request or a worker that read the picture before it was erased may still make files of it."""

AT_ONCE = 100


def purge(stop: Stop = keep_going) -> int:
    """Delete the files of all that was erased; return how many pictures have none any more."""
    before, last, purged = timezone.now() - GRACE, 0, 0
    while not stop() and (due := _due(before, last)):
        last = due[-1][0]
        for root in Job.objects.filter(pk__in={root for _, root in due}):
            if stop():
                break
            try:
                delete_files(root)
            except OSError as error:  # the others go, and this one is tried again
                log.error("files of an erased picture can't be deleted", job=root.pk, error=str(error))  # noqa: TRY400
            else:
                purged += _mark(root)
    return purged


def delete_files(root: Job) -> None:
    """Delete all that was stored for a job and those that show its files. Repeating it is harmless."""
    folder = str(root.source.name).rpartition("/")[0]
    for name in dict.fromkeys([*_names_in_rows(root), *_names_in(folder)]):
        default_storage.delete(name)
    if _is_own(folder):
        _delete_leftovers(folder)
        if spool.root() is not None:
            with suppress(OSError):  # a folder that isn't empty, or isn't there
                default_storage.delete(folder)


def _due(before: datetime, after: int) -> list[tuple[int, int]]:
    """Return jobs behind a key whose family was erased before this time, each with the key of its root."""
    with_root = Job.objects.annotate(root=Coalesce("reused_from", "pk"))
    erased = with_root.filter(erased_at__lt=before, purged_at=None, pk__gt=after)
    kept = Job.objects.filter(Q(erased_at=None) | Q(erased_at__gte=before))
    # Two searches, each by an index of its own; joined by OR they would be a scan.
    kept_root, kept_reuse = kept.filter(pk=OuterRef("root")), kept.filter(reused_from=OuterRef("root"))
    due = erased.filter(~Exists(kept_root), ~Exists(kept_reuse)).order_by("pk")
    return list(due.values_list("pk", "root")[:AT_ONCE])


def _mark(root: Job) -> int:
    family = Job.objects.filter(Q(pk=root.pk) | Q(reused_from=root))
    with claims.writing():
        Rendition.objects.filter(job__in=family).delete()
        return family.filter(purged_at=None).update(purged_at=timezone.now(), updated_at=F("updated_at"))


def _names_in_rows(root: Job) -> Iterator[str]:
    yield from (str(field.name) for field in (root.source, root.original, root.result) if field)
    made = Rendition.objects.filter(Q(job=root) | Q(job__reused_from=root)).exclude(file="")
    yield from made.values_list("file", flat=True)


def _names_in(folder: str) -> list[str]:
    """Return the files of a job's own folder: previews too, and results that no row names."""
    if not _is_own(folder):
        return []
    try:
        return [f"{folder}/{name}" for name in default_storage.listdir(folder)[1]]
    except FileNotFoundError:
        return []


def _is_own(folder: str) -> bool:
    """Tell if only one job has this folder, by the id in its name (``files.new_source_name``)."""
    try:
        return UUID(hex=folder.rpartition("/")[2]).hex == folder.rpartition("/")[2]
    except ValueError:
        return False


def _delete_leftovers(folder: str) -> None:
    """Delete what lies of a job in the spool and in quarantine."""
    for place in spool.places():
        for path in place.glob(f"result-{Path(folder).name}-*"):
            path.unlink(missing_ok=True)
    quarantine.forget(folder)
