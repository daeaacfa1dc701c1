"""Filter by whole days, in the instance's time zone."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from accounts.ledger.periods import midnight

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 12, 30)
"""Nothing happened outside these days, and the day after the last one is still in Python's calendar."""


class DateRange(NamedTuple):
    """A range of days, both included; None leaves that end open."""

    since: date | None = None
    until: date | None = None

    @property
    def begin(self) -> datetime | None:
        return midnight(max(self.since, FIRST_DAY)) if self.since else None

    @property
    def end(self) -> datetime | None:
        return midnight(min(self.until, LAST_DAY) + timedelta(days=1)) if self.until else None

    def contains(self, field: str) -> Q:
        """Return the condition that a datetime field lies within the range."""
        since = Q((f"{field}__gte", self.begin)) if self.begin else Q()
        return since & (Q((f"{field}__lt", self.end)) if self.end else Q())

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        """Return True if a period overlaps the range."""
        return (self.begin is None or end >= self.begin) and (self.end is None or begin < self.end)
