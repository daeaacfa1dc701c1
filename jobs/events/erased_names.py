"""Replace the names of erased pictures and batches in events, which people can read and replay for 30 days.

Call these in the transaction that erases; a repetition changes nothing. Events are found by their subjects,
for which there is an index (``event_once``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Substr
from django.utils import timezone

from jobs.events import old_events, outbox
from jobs.models import Batch, Event, EventKind, Job

AT_ONCE = 500
"""Subjects looked up by one statement."""

PURGED_AFTER = old_events.KEPT + timedelta(days=1)
UUID_LENGTH = 36


def forget_pictures(jobs: Iterable[Job]) -> None:
    """Replace the names of one team's pictures by their numbers. jobs: as they were before."""
    # A retention's jobs are usually so old that no event is left of them.
    recent = [job for job in jobs if job.updated_at > timezone.now() - PURGED_AFTER]
    if not recent:
        return
    events = Event.objects.filter(team=recent[0].team_id, kind=EventKind.JOB_FINISHED)
    subjects = list(_subjects(recent)) if events.exists() else []
    for start in range(0, len(subjects), AT_ONCE):
        found = events.filter(subject__in=subjects[start : start + AT_ONCE])
        _rename(found, "job", {job.pk: str(job.pk) for job in recent})


def forget_batches(batches: Sequence[Batch]) -> None:
    """Replace the names of batches by those that they have now."""
    # When a batch finished before isn't known, so this looks at all of the team's, which are few.
    theirs = Event.objects.filter(
        team__in={batch.team_id for batch in batches}, kind=EventKind.BATCH_FINISHED
    ).alias(batch=Substr("subject", len("batch:") + 1, UUID_LENGTH))
    names = {str(batch.pk): batch.name for batch in batches}
    _rename(theirs.filter(batch__in=names), "batch", names)


def _subjects(jobs: Iterable[Job]) -> Iterator[str]:
    """Yield the subjects of all events there may be: a job may have ended in each of its claims."""
    for job in jobs:
        for fence in range(job.fence + 1):
            yield from (outbox.ending(job, fence, state) for state in Job.FINISHED)


def _rename(events: "QuerySet[Event]", of: str, names: Mapping[Any, str]) -> None:
    """Give the events the names of what they are about. of: the key of that in their data."""
    # Locked, since a sender may complete them at this moment (``payloads``).
    locked = list(events.select_for_update(no_key=True).order_by("pk"))
    named = [event for event in locked if event.data.get("name") != names[event.data[of]]]
    for event in named:
        event.data["name"] = names[event.data[of]]
    Event.objects.bulk_update(named, ["data"], batch_size=AT_ONCE)
