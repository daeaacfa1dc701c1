"""Write rows in plain SQL where building the statement would cost more than running it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def insert(row: Model) -> None:
    """Write a new row, whose files are stored by now, and give it its primary key if it has none."""
    _insert(row, "")


def insert_if_new(row: Model) -> bool:
    """Write a new row as ``insert`` does; False if a unique constraint has one like it already."""
    return _insert(row, "ON CONFLICT DO NOTHING")


def _insert(row: Model, on_conflict: str) -> bool:
    sql, fields = _insertion(type(row), row.pk is not None, on_conflict)
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        written = cursor.fetchone()
    if written:
        if row.pk is None:
            (row.pk,) = written
        row._state.adding, row._state.db = False, connection.alias
    return written is not None


@cache
def _insertion(
    model: type[Model],
    has_key: bool,  # noqa: FBT001
    on_conflict: str,
) -> "tuple[str, list[Field[Any, Any]]]":
    fields = [field for field in model._meta.concrete_fields if has_key or not field.primary_key]
    columns = ", ".join(str(field.column) for field in fields)
    values = ", ".join(["%s"] * len(fields))
    into = f"{model._meta.db_table} ({columns}) VALUES ({values})"
    sql = f"INSERT INTO {into} {on_conflict} RETURNING {model._meta.pk.column}"
    return sql, fields


def update(model: type[Model], changes: Mapping[str, Any], where: str, params: Sequence[Any]) -> int:
    """Change fields of the rows that the condition selects; return how many they are."""
    sql, values = _changing(model, changes, where)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *params])
        return int(cursor.rowcount)


def update_one(
    model: type[Model], changes: Mapping[str, Any], where: str, params: Sequence[Any], returning: str
) -> Any:
    """Change fields of the row that the condition selects; return an expression's value, None for no row."""
    sql, values = _changing(model, changes, where)
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING {returning}", [*values, *params])
        row = cursor.fetchone()
        return row and row[0]


def _changing(model: type[Model], changes: Mapping[str, Any], where: str) -> tuple[str, list[Any]]:
    fields = [model._meta.get_field(name) for name in changes]
    columns = ", ".join(f"{field.column} = %s" for field in fields)  # type: ignore[union-attr]
    values = [
        field.get_db_prep_save(getattr(value, "pk", value), connection)  # type: ignore[union-attr]
        for field, value in zip(fields, changes.values(), strict=True)
    ]
    return f"UPDATE {model._meta.db_table} SET {columns} WHERE {where}", values  # noqa: S608 - names of ours


def locking(select: str, *, skips_locked: bool = False) -> str:
    """Let a SELECT lock its rows. SQLite has locked the whole file by then."""
    if not connection.features.has_select_for_update:
        return select
    return f"{select} FOR UPDATE SKIP LOCKED" if skips_locked else f"{select} FOR UPDATE"


def moment(value: datetime) -> Any:
    """Return a time as the database takes it for a parameter."""
    return connection.ops.adapt_datetimefield_value(value)
