"""Read in one query what changed in a batch since a page last asked, and tell if anything did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, FilteredRelation, Max, Q, QuerySet, Subquery, Value
from django.utils import timezone

from accounts.models import LedgerAccount
from jobs.batches.cursor import Cursor, Place, microseconds
from jobs.models import Batch, BatchFile, Job, Rendition

AT_MOST = 500
"""Jobs in one response."""


@dataclass(frozen=True)
class Changes:
    """The jobs that changed after a cursor, in the order of their changes, and the rest in its present state.

    asked: when it was read. rest: all that a page shows besides jobs, in no particular form.
    """

    cursor: Cursor
    asked: datetime
    rest: tuple[Any, ...]
    places: list[Place]

    @property
    def more(self) -> bool:
        return len(self.places) > AT_MOST

    @property
    def keys(self) -> list[int]:
        """The keys of the jobs that one response holds."""
        return [pk for _, pk in self.places[:AT_MOST]]

    @property
    def next(self) -> Cursor:
        """The cursor of the next request."""
        last = self.places[:AT_MOST][-1] if self.places else (0, 0)
        after = self.cursor.after_part if self.more else self.cursor.after_all
        return after(last, self.asked)

    def digest(self, *more: object) -> str:
        """Return what is the same as long as a page that has asked from this cursor would see nothing new."""
        return self._digest(self.cursor, more)

    def next_digest(self, *more: object) -> str:
        """Return what ``digest`` returns at the next request, if nothing changes; "" if it can't be known."""
        return "" if self.more or self.cursor.floor else self._digest(self.next, more)

    def _digest(self, cursor: Cursor, more: tuple[object, ...]) -> str:
        later = [place for place in self.places if place > (cursor.at, cursor.pk)]
        return blake2b(repr((str(cursor), self.rest, later, more)).encode(), digest_size=16).hexdigest()


def since(batch: UUID, team_id: int, cursor: Cursor) -> Changes:
    """Read the changes after the cursor, in one query."""
    asked = timezone.now()
    rows = (
        Batch.objects.filter(pk=batch)
        .annotate(
            changed=FilteredRelation("jobs", condition=cursor.later("jobs")), **_rest(batch, team_id, asked)
        )
        .order_by("changed__updated_at", "changed__pk")
        .values_list("changed__updated_at", "changed__pk", "updated_at", *_REST)[: AT_MOST + 1]
    )
    found = list(rows)
    places = [(microseconds(at), pk) for at, pk, *_ in found if pk is not None]
    return Changes(cursor, asked, tuple(map(str, found[0][2:])), places)


_REST = ("file_count", "file_changed", "rendition_count", "made", "rendition_changed", "available", "stalled")


def _rest(batch: UUID, team_id: int, now: datetime) -> dict[str, Any]:
    files = BatchFile.objects.filter(batch=batch)
    renditions = Rendition.objects.filter(job__batch=batch)
    accounts = LedgerAccount.objects.filter(team=team_id, kind=LedgerAccount.Kind.AVAILABLE)
    left_behind = Job.objects.filter(batch=batch, state=Job.State.RUNNING, lease_until__lt=now)
    return {
        "file_count": _only(files, Count("pk")),
        "file_changed": _only(files, Max("updated_at")),
        "rendition_count": _only(renditions, Count("pk")),
        "made": _only(renditions, Count("pk", filter=Q(state=Rendition.State.MADE))),
        "rendition_changed": _only(renditions, Max("updated_at")),
        "available": Subquery(accounts.values("balance_microcredits")),
        "stalled": Exists(left_behind),
    }


def _only(rows: QuerySet[Any], aggregate: Any) -> Subquery:
    """Return an aggregate over rows that don't depend on the outer query, so that it is computed once."""
    return Subquery(rows.order_by().values(all=Value(1)).annotate(value=aggregate).values("value"))
