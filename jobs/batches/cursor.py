"""Find the jobs of a batch that changed since a page last asked.

Transactions commit out of order: one that wrote an earlier ``updated_at`` may become visible after a later
one was read. So a page's cursor stays some seconds behind the newest change, and it gets some changes twice;
a job's version tells it which.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils import timezone

OVERLAP = timedelta(seconds=10)
"""No transaction that changes a job takes longer, from its clock to its commit."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Cursor:
    """The last change that a page has seen, in microseconds, and the job that changed.

    floor: while there are more changes than one response holds, where to go on from after the last of them,
    since meanwhile earlier ones may have been committed; 0 otherwise.
    """

    at: int = 0
    pk: int = 0
    floor: int = 0

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that a page sends back; the beginning for anything else."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts):
            return cls()
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.at}-{self.pk}-{self.floor}"

    def behind(self, prefix: str = "") -> Q:
        """Return the condition for changes after this one."""
        at, moment = f"{prefix}updated_at", time_of(self.at)
        return Q((f"{at}__gt", moment)) | Q((at, moment), (f"{prefix}pk__gt", self.pk))

    def after_part(self, last: tuple[int, int], asked: datetime) -> Cursor:
        """Return where to go on if there are more changes than one response holds."""
        return Cursor(*last, self.floor or number(asked - OVERLAP))

    def after_all(self, last: tuple[int, int], asked: datetime) -> Cursor:
        """Return where to look for new changes from: behind the newest one, until that is old."""
        at, pk = max(last, (self.at, self.pk))
        floor = min(self.floor or at, number(asked - OVERLAP))
        if at <= floor:
            return Cursor(at, pk)
        behind = min(at - OVERLAP // MICROSECOND, floor)
        started = self.at if not self.floor else 0
        return Cursor(max(behind, started), self.pk if started >= behind else 0)


def number(moment: datetime) -> int:
    """Return a time in microseconds."""
    return (moment - EPOCH) // MICROSECOND


def time_of(microseconds: int) -> datetime:
    return EPOCH + min(microseconds, number(timezone.now()) * 2) * MICROSECOND
