"""Statements that fill a table by counting, on SQLite and PostgreSQL."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Field, Model

SECONDS_APART = 30
"""A picture comes every half a minute: 1.2 million are a year and two months."""

WORDS = {
    "sqlite": {
        "at": "strftime('%Y-%m-%d %H:%M:%f000', 'now', "
        f"printf('%+d seconds', (({{i}}) - {{last}}) * {SECONDS_APART}))",
        "hex": "printf('%064x', {i})",
        "uuid": "printf('%032x', {i})",
    },
    "postgresql": {
        "at": f"now() - ({{last}} - ({{i}})) * interval '{SECONDS_APART} seconds'",
        "hex": "lpad(to_hex({i}), 64, '0')",
        "uuid": "lpad(to_hex({i}), 32, '0')::uuid",
    },
}


class Rows:
    """The SQL of values that depend on the row's number, ``i``. last: the number of the newest picture."""

    def __init__(self, last: int) -> None:
        self.last = last

    def at(self, i: str = "i") -> str:
        """Return the time at which the i-th picture came."""
        return self._say("at", i)

    def hex(self, i: str = "i") -> str:
        """Return 64 digits."""
        return self._say("hex", i)

    def uuid(self, i: str = "i") -> str:
        return self._say("uuid", i)

    def insert(self, model: type[Model], rows: int, where: str = "1 = 1", **columns: str) -> str:
        """Return the statement that fills a table with rows from 1 to so many.

        columns: SQL by the field's ``attname``; every other field gets its default, and a time ``at``.
        """
        fields = [field for field in model._meta.concrete_fields if self._is_filled(field, columns)]
        values = [columns.pop(field.attname, "") or self._default(field) for field in fields]
        if columns:
            raise ValueError(f"{model.__name__} has no {', '.join(columns)}")
        names = ", ".join(f'"{field.column}"' for field in fields)
        count = f"SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < {rows}"  # noqa: S608
        numbered = f"WITH RECURSIVE n(i) AS ({count}) SELECT {', '.join(values)} FROM n WHERE {where}"  # noqa: S608
        return f"INSERT INTO {model._meta.db_table} ({names}) {numbered}"

    def _say(self, what: str, i: str) -> str:
        return WORDS[connection.vendor][what].format(i=i, last=self.last)

    def _is_filled(self, field: "Field[Any, Any]", columns: dict[str, str]) -> bool:
        return field.attname in columns or not field.primary_key or field.has_default()

    def _default(self, field: "Field[Any, Any]") -> str:
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            return self.at()
        return self._literal(field.get_default())

    def _literal(self, value: object) -> str:
        match value:
            case None:
                return "NULL"
            case bool():
                return "(1 = 1)" if value else "(1 = 0)"
            case int():
                return str(int(value))
            case datetime():
                return self.at()
            case UUID():
                return self.uuid()
            case str():
                return "'{}'".format(str(value).replace("'", "''"))
            case _:
                return f"'{json.dumps(value)}'"
