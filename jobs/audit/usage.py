"""Sum what was spent, by day, member, key or origin; the database adds up the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from accounts.models import Team, Transfer
from jobs.search import pagination
from jobs.search.date_range import DateRange


class By(StrEnum):
    """Groupings of usage."""

    DAY = "day"
    MEMBER = "member"
    KEY = "key"
    ORIGIN = "origin"


GROUPINGS: dict[By, dict[str, Any]] = {
    By.DAY: {"group": TruncDate("created_at")},
    # The hold names who spent. A booking's actor may be the person who decided a call in doubt.
    By.MEMBER: {"group": F("hold__actor__email")},
    By.KEY: {"group": F("hold__api_key__api_id"), "name": F("hold__api_key__name")},
    By.ORIGIN: {"group": F("hold__attempt__job__origin")},
}


@dataclass(frozen=True)
class GroupUsage:
    """The spending of one group: a date, an email address, a key's Id (None: no key) or an origin.

    ``jobs`` counts those that were charged for; ``name`` is the key's.
    """

    group: Any
    microcredits: int
    jobs: int
    name: str | None = None


def bookings(team: Team, span: DateRange) -> QuerySet[Transfer]:
    """Return the team's settled charges and overages that were booked on these days."""
    transfers = Transfer.objects.all()
    days = pagination.in_days(transfers, transfers, span)
    return days.filter(kind__in=Transfer.BOOKINGS, credit__team=team)


def by_group(team: Team, span: DateRange, by: By) -> list[GroupUsage]:
    """Return the usage of each group, ordered by group."""
    grouped = bookings(team, span).values(**GROUPINGS[by])
    rows: Iterable[Any] = grouped.annotate(**_SUMS).order_by(*GROUPINGS[by])
    return [GroupUsage(**row | {"microcredits": int(row["microcredits"])}) for row in rows]


def total(team: Team, span: DateRange) -> GroupUsage:
    """Return the total usage; a job that was charged for on two days counts once."""
    row = bookings(team, span).aggregate(**_SUMS)
    return GroupUsage(None, int(row["microcredits"]), row["jobs"])


_SUMS: dict[str, Any] = {
    "microcredits": Coalesce(Sum("amount_microcredits"), 0),
    "jobs": Count("hold__attempt__job", distinct=True),
}
