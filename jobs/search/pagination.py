"""Page through rows by key: each page starts after the last row of the one before.

So page 1,000 costs what page 1 costs, and a new row doesn't shift the others.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from accounts.long_tables import is_key
from jobs.search.date_range import DateRange

Row = TypeVar("Row", bound=Model)

MAX_SCANNED = 20_000
"""Rows that one page may scan. Otherwise a search without matches would read every row there ever was."""

MAX_KEY = 2**63 - 1

SLACK = 1_000
"""Keys rise with the time of creation, except for rows written at the same time; those are fewer."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """``older`` is the key before which the next page continues; None on the last page."""

    rows: list[Row]
    older: int | None


def key_of(text: str) -> int | None:
    """Return the key that an address names; None for none, or for what can't be one."""
    return int(text) if is_key(text) else None


def page(rows: QuerySet[Row], before: int | None, size: int) -> Page[Row]:
    """Return the newest rows before a key, or the newest of all without one."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    newest = list(rows.order_by("-pk")[: size + 1])
    return Page(newest[:size], newest[size - 1].pk if len(newest) > size else None)


def filtered_page(rows: QuerySet[Row], condition: Q, before: int | None, size: int) -> Page[Row]:
    """Return a page of the rows that match a condition no index covers.

    It may have fewer rows than asked for, even none, and still name an older key to continue from.
    """
    if before is not None:
        rows = rows.filter(pk__lt=before)
    keys = rows.order_by("-pk").values_list("pk", flat=True)
    last = keys[MAX_SCANNED - 1 : MAX_SCANNED].first() if condition else None
    within = rows if last is None else rows.filter(pk__gte=last)
    matches = page(within.filter(condition), None, size)
    return matches if matches.older else Page(matches.rows, last)


def in_days(rows: QuerySet[Row], dated: QuerySet[Any], span: DateRange) -> QuerySet[Row]:
    """Select the rows created on these days.

    Rows are read in the order of their keys, so the range is also expressed as a bound on keys. ``dated`` is
    the queryset to find that bound in: one whose first and last row an index on ``created_at`` finds.
    """
    low, high = keys_of_days(dated, span)
    if low is not None:
        rows = rows.filter(pk__gte=low)
    if high is not None:
        rows = rows.filter(pk__lte=high)
    return rows.filter(span.contains("created_at"))


def keys_of_days(dated: QuerySet[Any], span: DateRange) -> tuple[int | None, int | None]:
    """Return the lowest and highest key that a row of these days may have; None leaves that end open."""
    keys = dated.values_list("pk", flat=True)
    low = high = None
    if span.begin:
        first = keys.filter(created_at__gte=span.begin).order_by("created_at").first()
        low = MAX_KEY if first is None else first - SLACK
    if span.end:
        last = keys.filter(created_at__lt=span.end).order_by("-created_at").first()
        high = 0 if last is None else last + SLACK
    return low, high
