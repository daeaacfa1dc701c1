"""Write rows in plain SQL where building the statement would cost more than running it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def insert(row: Model) -> None:
    """Write a new row, whose files are stored by now, and give it its primary key."""
    sql, fields = _insertion(type(row))
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, connection.alias


@cache
def _insertion(model: type[Model]) -> "tuple[str, list[Field[Any, Any]]]":
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(str(field.column) for field in fields)
    values = ", ".join(["%s"] * len(fields))
    table, key = model._meta.db_table, model._meta.pk.column
    sql = f"INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {key}"  # noqa: S608 - names of ours
    return sql, fields


def update(model: type[Model], changes: Mapping[str, Any], where: str, params: Sequence[Any]) -> int:
    """Change fields of the rows that the condition selects; return how many they are."""
    fields = [model._meta.get_field(name) for name in changes]
    columns = ", ".join(f"{field.column} = %s" for field in fields)  # type: ignore[union-attr]
    values = [
        field.get_db_prep_save(getattr(value, "pk", value), connection)  # type: ignore[union-attr]
        for field, value in zip(fields, changes.values(), strict=True)
    ]
    with connection.cursor() as cursor:
        sql = f"UPDATE {model._meta.db_table} SET {columns} WHERE {where}"  # noqa: S608 - names of ours
        cursor.execute(sql, [*values, *params])
        return int(cursor.rowcount)


def locking(select: str, *, skips_locked: bool = False) -> str:
    """Let a SELECT lock its rows. SQLite has locked the whole file by then."""
    if not connection.features.has_select_for_update:
        return select
    return f"{select} FOR UPDATE SKIP LOCKED" if skips_locked else f"{select} FOR UPDATE"


def moment(value: datetime) -> Any:
    """Return a time as the database takes it for a parameter."""
    return connection.ops.adapt_datetimefield_value(value)
