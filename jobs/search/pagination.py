"""Pages by key: each names the last row of the one before, so that page 1,000 costs what page 1 costs and a
new row doesn't shift the others."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from jobs.search.date_range import DateRange

Row = TypeVar("Row", bound=Model)

MOST_SIFTED = 20_000
"""Rows that one page looks through. Otherwise a search for what isn't there reads all there ever were."""

SLACK = 1_000
"""Keys rise with the time of creation, but for rows that are written at the same time, which are fewer."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """older: the key before which the next page goes on; None on the last one."""

    rows: list[Row]
    older: int | None


def page(rows: QuerySet[Row], before: int | None, size: int) -> Page[Row]:
    """The newest rows before a key; without one, the newest of all."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: size + 1])
    return Page(found[:size], found[size - 1].pk if len(found) > size else None)


def sifted(rows: QuerySet[Row], sieve: Q, before: int | None, size: int) -> Page[Row]:
    """Return those of a page's rows that pass a sieve no index answers. A page may have fewer rows than were
    asked for, even none, and still name an older one to go on from."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    keys = rows.order_by("-pk").values_list("pk", flat=True)
    last = keys[MOST_SIFTED - 1 : MOST_SIFTED].first() if sieve else None
    within = rows if last is None else rows.filter(pk__gte=last)
    found = page(within.filter(sieve), None, size)
    return found if found.older else Page(found.rows, last)


def of_days(rows: QuerySet[Row], dated: QuerySet[Any], span: DateRange) -> QuerySet[Row]:
    """Leave out what the keys say is of other days, since rows are read in the order of their keys.

    dated: all rows, or those of which an index on ``created_at`` knows the first and the last.
    """
    keys = dated.values_list("pk", flat=True)
    if span.begin:
        first = keys.filter(created_at__gte=span.begin).order_by("created_at").first()
        rows = rows.filter(pk__gte=first - SLACK) if first else rows.none()
    if span.end:
        last = keys.filter(created_at__lt=span.end).order_by("-created_at").first()
        rows = rows.filter(pk__lte=last + SLACK) if last else rows.none()
    return rows.filter(span.of("created_at"))
