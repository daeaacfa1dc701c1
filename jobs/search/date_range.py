"""Whole days, as people and programs ask for them."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from accounts.ledger.periods import midnight

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 12, 30)
"""Nothing happened outside; and Python's calendar, which ends here, leaves room for the day after."""


class DateRange(NamedTuple):
    """Whole days in the instance's time zone, both included; None where it is open."""

    since: date | None = None
    until: date | None = None

    @property
    def begin(self) -> datetime | None:
        return midnight(max(self.since, FIRST_DAY)) if self.since else None

    @property
    def end(self) -> datetime | None:
        return midnight(min(self.until, LAST_DAY) + timedelta(days=1)) if self.until else None

    def of(self, field: str) -> Q:
        """What has this time within the span."""
        since = Q((f"{field}__gte", self.begin)) if self.begin else Q()
        return since & (Q((f"{field}__lt", self.end)) if self.end else Q())

    def meets(self, begin: datetime, end: datetime) -> bool:
        """Whether a period has a part in the span."""
        return (self.begin is None or end >= self.begin) and (self.end is None or begin < self.end)
