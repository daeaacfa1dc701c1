"""Scan the newest rows of an index until enough of them match a condition that it doesn't cover."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL

FIRST_CHUNK, GROWTH = 100, 4


@dataclass(frozen=True)
class Found:
    """Keys of matching rows, newest first. last: the last row that was looked at, None if that was all."""

    keys: list[int]
    last: int | None = None


def newest(rows: QuerySet[Any], condition: Q, most: int) -> tuple[str, Sequence[Any]]:
    """Return SQL, with its parameters, for the keys of those of the newest ``most`` rows that match.

    The database streams it: whoever reads the first keys only has no more rows scanned. The condition is a
    column of the inner query, so that the index of ``rows`` is the only one to choose.
    """
    hit = Case(When(condition, then=Value(1)), default=Value(0), output_field=IntegerField())
    inner = rows.order_by("-pk").annotate(key=F("pk"), hit=hit).values_list("key", "hit")[:most]
    sql, params = inner.query.sql_with_params()
    return f"SELECT scanned.key FROM ({sql}) AS scanned WHERE scanned.hit = 1", params  # noqa: S608


def scan(rows: QuerySet[Any], condition: Q, size: int, most: int) -> Found:
    """Return the newest ``size`` rows that match, among the newest ``most`` rows."""
    try:
        sql, params = newest(rows, condition, most)
    except EmptyResultSet:  # nothing was created in those days
        return Found([])
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {size:d}", params)
        keys = sorted((key for (key,) in cursor.fetchall()), reverse=True)
    if len(keys) >= size:
        return Found(keys, keys[-1])
    return Found(keys, rows.order_by("-pk").values_list("pk", flat=True)[most - 1 : most].first())


def keys_in(keys: Iterable[int]) -> RawSQL:
    """Return the right side of an ``in``: Django takes longer over thousands of keys than the database."""
    return RawSQL(",".join(f"{key:d}" for key in keys) or "NULL", ())  # noqa: S611


def among(candidates: Iterable[int], rows: QuerySet[Any], condition: Q, size: int) -> list[int]:
    """Return the first ``size`` candidates, which come newest first, that are rows and match."""
    remaining, keys, chunk = iter(candidates), list[int](), FIRST_CHUNK
    while len(keys) < size and (part := list(islice(remaining, chunk))):
        matches = rows.filter(condition, pk__in=keys_in(part)).order_by("-pk")
        keys += matches.values_list("pk", flat=True)[: size - len(keys)]
        chunk *= GROWTH
    return keys
