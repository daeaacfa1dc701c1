"""What was spent, by whom and when: sums of what the ledger took, made by the database."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from accounts.models import Team, Transfer
from jobs.audit.reconcile.verdicts import BOOKINGS
from jobs.search import pagination
from jobs.search.date_range import DateRange


class By(StrEnum):
    """How usage is parted."""

    DAY = "day"
    MEMBER = "member"
    KEY = "key"
    ORIGIN = "origin"


PARTED: dict[By, dict[str, Any]] = {
    By.DAY: {"group": TruncDate("created_at")},
    # Whoever spent stands on the hold: a booking's actor is whoever decided it, where a person did.
    By.MEMBER: {"group": F("hold__actor__email")},
    By.KEY: {"group": F("hold__api_key__api_id"), "name": F("hold__api_key__name")},
    By.ORIGIN: {"group": F("hold__attempt__job__origin")},
}


@dataclass(frozen=True)
class Part:
    """group: a date, an e-mail address, a key's Id (None: no key) or an origin. name: of the key.
    jobs: that were charged for."""

    group: Any
    microcredits: int
    jobs: int
    name: str | None = None


def bookings(team: Team, span: DateRange) -> QuerySet[Transfer]:
    """What was settled, and what was charged above a hold, by the time it was booked."""
    every = Transfer.objects.all()
    return pagination.in_days(every, every, span).filter(kind__in=BOOKINGS, credit__team=team)


def parts(team: Team, span: DateRange, by: By) -> list[Part]:
    """In the order of their groups."""
    grouped = bookings(team, span).values(**PARTED[by])
    rows: Iterable[Any] = grouped.annotate(**_SUMS).order_by(*PARTED[by])
    return [Part(**row | {"microcredits": int(row["microcredits"])}) for row in rows]


def total(team: Team, span: DateRange) -> Part:
    """A job that was charged for on two days counts once."""
    row = bookings(team, span).aggregate(**_SUMS)
    return Part(None, int(row["microcredits"]), row["jobs"])


_SUMS: dict[str, Any] = {
    "microcredits": Coalesce(Sum("amount_microcredits"), 0),
    "jobs": Count("hold__attempt__job", distinct=True),
}
