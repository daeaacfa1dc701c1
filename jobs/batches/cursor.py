"""Find the jobs of a batch that changed since a page last asked.

Transactions commit out of order: one that wrote an earlier ``updated_at`` may become visible after a later
one was read. So a page's cursor stays some seconds behind the newest change, and the page gets some changes
twice; a job's version tells it which.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

OVERLAP = timedelta(seconds=10)
"""No transaction that changes a job takes longer, from its clock to its commit."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PARTS, MAX_DIGITS = 3, 17

Place = tuple[int, int]
"""The time of a change in microseconds, and the job's key."""


@dataclass(frozen=True)
class Cursor:
    """The last change that a page has seen.

    floor: set while there are more changes than one response holds. Meanwhile earlier ones may be committed,
    so the page goes on from there after the last of them.
    """

    at: int = 0
    pk: int = 0
    floor: int = 0

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that a page sends back; for anything else, the one before all changes."""
        parts = text.split("-")
        valid = all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in parts)
        return cls(*map(int, parts)) if valid and len(parts) == PARTS else cls()

    def __str__(self) -> str:
        return f"{self.at}-{self.pk}-{self.floor}"

    def later(self, jobs: str) -> Q:
        """Return the condition for later changes, of the jobs by this relation."""
        at, moment = f"{jobs}__updated_at", EPOCH + self.at * MICROSECOND
        return Q((f"{at}__gte", moment)) & (Q((f"{at}__gt", moment)) | Q((f"{jobs}__pk__gt", self.pk)))

    def after_part(self, last: Place, asked: datetime) -> Cursor:
        """Return the cursor after a response that doesn't hold all changes."""
        return Cursor(*last, self.floor or microseconds(asked - OVERLAP))

    def after_all(self, last: Place, asked: datetime) -> Cursor:
        """Return the cursor after a response that holds all changes."""
        at, pk = max(last, (self.at, self.pk))
        floor = self.floor or microseconds(asked - OVERLAP)
        if at <= floor:
            return Cursor(at, pk)
        behind = min(at - OVERLAP // MICROSECOND, floor)
        if not self.floor and self.at >= behind:
            return Cursor(self.at, self.pk)
        return Cursor(max(behind, 0))


def microseconds(moment: datetime) -> int:
    """Return a time as a number."""
    return (moment - EPOCH) // MICROSECOND
