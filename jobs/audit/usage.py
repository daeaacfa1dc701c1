"""Sum what a team spent and saved by day, person, key, origin, batch or preset, from the roll-up of its days.

A roll-up has one row for a day's calls of one person, key and batch, so a sum reads few rows, however many
jobs there are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from accounts.models import ApiKey, Team, User
from jobs.models import Batch, UsageDay
from jobs.search.date_range import DateRange


class By(StrEnum):
    """Groupings of usage."""

    DAY = "day"
    MEMBER = "member"
    KEY = "key"
    ORIGIN = "origin"


COLUMNS = {
    By.DAY: "day",
    By.MEMBER: "spender",  # who made the hold; who decided a call in doubt has spent nothing
    By.KEY: "api_key",
    By.ORIGIN: "origin",
}
NAMES: dict[By, QuerySet[Any, Any]] = {
    By.MEMBER: User.objects.values_list("pk", "email"),
    By.KEY: ApiKey.objects.values_list("pk", "api_id", "name"),
}


@dataclass(frozen=True)
class Usage:
    """Counts of some rows. booked, saved: in micro-credits; calls: that were charged."""

    calls: int = 0
    pixels: int = 0
    booked: int = 0
    duplicates: int = 0
    saved: int = 0
    renditions: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) + getattr(other, name) for name in COUNTS))

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) - getattr(other, name) for name in COUNTS))

    @property
    def booked_per_call(self) -> int | None:
        """The micro-credits of an average call; None without one."""
        return self.booked // self.calls if self.calls else None

    @property
    def pixels_per_call(self) -> int | None:
        return self.pixels // self.calls if self.calls else None


@dataclass(frozen=True)
class GroupUsage:
    """Name a group by a date, an address, a key's or batch's id (None: without one), an origin or presets.

    name: of the key or the batch.
    """

    group: Any
    usage: Usage
    name: str | None = None


COUNTS = tuple(field.name for field in fields(Usage))
_SUMS: dict[str, Any] = {f"sum_{name}": Sum(name) for name in COUNTS}


def by_group(team: Team, span: DateRange, by: By) -> list[GroupUsage]:
    """Return the usage of each group, ordered by group."""
    groups = list(_grouped(rows(team, span), COLUMNS[by], "group"))
    return sorted(_named(groups, NAMES[by]), key=lambda each: each.group or "") if by in NAMES else groups


def by_batch(team: Team, span: DateRange, limit: int) -> list[GroupUsage]:
    """Return the usage of the batches that cost most, and of the calls outside of one."""
    days = rows(team, span)
    # Adding up one column for each batch of years takes PostgreSQL half as long as adding up six.
    costs = days.exclude(batch=None).values("batch").annotate(cost=Sum("booked"))
    dearest = [row["batch"] for row in costs.order_by("-cost", "batch")[:limit]]
    shown = days.filter(Q(batch__in=dearest) | Q(batch=None))
    order = ("-sum_booked", "-sum_duplicates", "-sum_renditions", "group")
    groups = list(_grouped(shown, "batch", *order))
    return _named(groups, Batch.objects.values_list("pk", "pk", "name"))


def by_preset(team: Team, span: DateRange) -> list[GroupUsage]:
    """Return the usage by what its batches become now: a tuple of names for each, "" for one without.

    A batch that becomes several files at once is one group, so that the groups add up to the total.
    """
    usages: dict[tuple[str, ...] | None, Usage] = {}
    for row in _grouped(rows(team, span), "batch__outputs"):
        names = None if row.group is None else tuple(output["name"] for output in row.group)
        usages[names] = usages.get(names, Usage()) + row.usage
    return [GroupUsage(names, usage) for names, usage in sorted(usages.items(), key=_dearest_first)]


def total(groups: Iterable[GroupUsage]) -> Usage:
    """Return the sum of groups that part the whole usage."""
    return sum((group.usage for group in groups), Usage())


def each_day(groups: Iterable[GroupUsage], since: date, until: date) -> Iterator[GroupUsage]:
    """Yield each day of the range, those without usage too."""
    usages = {group.group: group.usage for group in groups}
    for days in range((until - since).days + 1):
        day = since + timedelta(days=days)
        yield GroupUsage(day, usages.get(day, Usage()))


def each_month(days: Iterable[GroupUsage]) -> Iterator[GroupUsage]:
    """Sum up days, which are in their order, by month; a month's group is the first of its days."""
    for _month, of_month in groupby(days, key=lambda each: (each.group.year, each.group.month)):
        listed = list(of_month)
        yield GroupUsage(listed[0].group, total(listed))


def rows(team: Team, span: DateRange) -> QuerySet[UsageDay]:
    """Return the team's rows of these days."""
    found = UsageDay.objects.filter(team=team)
    if span.since:
        found = found.filter(day__gte=span.since)
    return found.filter(day__lte=span.until) if span.until else found


def _grouped(days: QuerySet[UsageDay], column: str, *order: str) -> Iterator[GroupUsage]:
    found: Iterable[Any] = days.values(group=F(column)).annotate(**_SUMS).order_by(*order)
    for row in found:
        # PostgreSQL adds up large integers to decimals.
        yield GroupUsage(row["group"], Usage(*(int(row[f"sum_{name}"]) for name in COUNTS)))


def _named(groups: Iterable[GroupUsage], names: QuerySet[Any, Any]) -> list[GroupUsage]:
    """Return the groups by keys with what these are called.

    Grouped by a name, all rows of the roll-up would be joined with it first.
    """
    groups = list(groups)
    found = {pk: called for pk, *called in names.filter(pk__in=[each.group for each in groups if each.group])}
    named = ((each.usage, *found.get(each.group, [None])) for each in groups)
    return [GroupUsage(group, usage, *name) for usage, group, *name in named]


def _dearest_first(entry: tuple[tuple[str, ...] | None, Usage]) -> tuple[int, int, tuple[str, ...]]:
    names, usage = entry
    return -usage.booked, -usage.duplicates, names or ()
