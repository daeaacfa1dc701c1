"""Find the batches whose pictures have all ended, and write the event.

A batch that gets more work later (pictures are added, or tried again) isn't finished any more
(``claims.reopen``), and finishes once more when that has ended: another event.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Subquery
from django.utils import timezone

from jobs.events import outbox
from jobs.models import Batch, Job
from jobs.storage.interruptible import Stop, keep_going

UNFINISHED = [state for state in Job.State if state not in Job.FINISHED]

STIRS_FOR = timedelta(minutes=1)
"""A transaction may commit after one that began later, so the newest change says little for a while."""

LOOKED_AT_EVERY = timedelta(minutes=10)
"""A batch in which no job changed may be finished because a file couldn't be fetched."""

_looked_at: dict[UUID, datetime] = {}
"""When this process last looked at a batch that isn't finished."""


def finish_due(stop: Stop = keep_going) -> int:
    """Finish the batches that are, and return how many. Several processes may do it at once."""
    last_change = Job.objects.filter(batch=OuterRef("pk")).order_by("-updated_at").values("updated_at")[:1]
    open_ = Batch.objects.filter(finished_at=None).annotate(changed=Subquery(last_change))
    rows = open_.filter(changed__isnull=False).values_list("pk", "changed", "updated_at")
    finished = 0
    for pk, *changes in list(rows):
        if not stop() and _may_have_ended(pk, max(changes)):
            finished += _finish(pk)
    return finished


def _may_have_ended(pk: UUID, changed: datetime) -> bool:
    """Tell if a batch is worth its queries: it was looked at long ago, or something in it has changed."""
    now, last = timezone.now(), _looked_at.get(pk)
    if last and changed < last - STIRS_FOR and now < last + LOOKED_AT_EVERY:
        return False
    _looked_at[pk] = now
    return _has_ended(pk)


def _has_ended(pk: UUID) -> bool:
    """Tell if there is nothing left to be done, and no file to come."""
    unfinished = Job.objects.filter(batch=OuterRef("pk"), state__in=UNFINISHED)
    ended = Batch.objects.filter(~Exists(unfinished), pk=pk).first()
    return ended is not None and not ended.files.missing().exists()


def _finish(pk: UUID) -> bool:
    with transaction.atomic():
        # Whoever adds to the batch locks it too. So what follows sees what they have done, or they see this.
        batch = Batch.objects.select_for_update(no_key=True).filter(pk=pk, finished_at=None).first()
        if batch is None or not _has_ended(pk):
            return False
        batch.finished_at = timezone.now()
        Batch.objects.filter(pk=pk).update(finished_at=batch.finished_at)
        states = batch.jobs.order_by().values_list("state").annotate(Count("pk"))
        outbox.batch_finished(batch, dict(states))
    _looked_at.pop(pk, None)
    return True
