"""Pages by key: each names the last row of the one before, so that page 1,000 costs what page 1 costs and a
new row doesn't shift the others."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


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
