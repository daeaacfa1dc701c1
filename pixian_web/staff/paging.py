"""Page through rows by a text, such as a name: each page starts after the last row of the one before."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from accounts.long_tables import is_key

Row = TypeVar("Row", bound=Model)
SIZE = 50


@dataclass(frozen=True)
class Page(Generic[Row]):
    """after: the key of the last row, after which the next page continues; None on the last page."""

    rows: list[Row]
    after: int | None


def page(rows: QuerySet[Row], field: str, after: str) -> Page[Row]:
    """Return the rows after the one with this key, by the field; the first ones if there is no such row."""
    rows_of_all = rows.model._default_manager
    last = rows_of_all.filter(pk=int(after)).values_list(field, "pk").first() if is_key(after) else None
    if last:
        name, pk = last
        rows = rows.filter(Q((f"{field}__gt", name)) | Q((field, name), pk__gt=pk), (f"{field}__gte", name))
    listed = list(rows.order_by(field, "pk")[: SIZE + 1])
    return Page(listed[:SIZE], listed[SIZE - 1].pk if len(listed) > SIZE else None)
