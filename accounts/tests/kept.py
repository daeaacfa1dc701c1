"""All that the database keeps, read past all our code, as whoever gets hold of a dump reads it."""

from typing import Any

from django.db import connection


def everything_kept() -> str:
    """Return every column of every row of every table, including tables without a model of ours."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        return "\n".join(repr(row) for table in tables for row in _rows(cursor, table))


def _rows(cursor: Any, table: str) -> list[Any]:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
    rows: list[Any] = cursor.fetchall()
    return rows
