"""Make the database refuse to change or delete a transfer, or an entry of the audit log.

Django has no constraint for this, and ``QuerySet.update()`` or a database shell would bypass a guard in
Python. The triggers are created after every ``migrate``, because SQLite drops them when a migration rebuilds
the table.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

MESSAGES = {
    "accounts_transfer": "a transfer is never changed or deleted; correct it with a new one",
    "accounts_auditentry": "an entry of the audit log is never changed or deleted",
}


def guard(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers that don't exist yet, on those of the tables that do."""
    _run(connection, _GUARDS)


def unguard(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers. For migrations that fill a new column, and for tests, which empty the tables."""
    _run(connection, _UNGUARDS)


def guard_after_migrate(using: str, **_: Any) -> None:
    guard(connections[using])


_GUARDS = {
    "sqlite": [
        (
            "CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE update ON {table} "
            "BEGIN SELECT RAISE(ABORT, '{message}'); END"
        ),
        (
            "CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE delete ON {table} "
            "BEGIN SELECT RAISE(ABORT, '{message}'); END"
        ),
    ],
    "postgresql": [
        (
            "CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation'; END $$"
        ),
        (
            "CREATE OR REPLACE TRIGGER {table}_immutable BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
        ),
        (
            "CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
        ),
    ],
}
_UNGUARDS = {
    "sqlite": ["DROP TRIGGER IF EXISTS {table}_no_update", "DROP TRIGGER IF EXISTS {table}_no_delete"],
    "postgresql": [
        "DROP TRIGGER IF EXISTS {table}_immutable ON {table}",
        "DROP TRIGGER IF EXISTS {table}_no_truncate ON {table}",
    ],
}


def _run(connection: BaseDatabaseWrapper, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in _of_each_table(connection, statements[connection.vendor]):
            cursor.execute(statement)


def _of_each_table(connection: BaseDatabaseWrapper, statements: list[str]) -> Iterator[str]:
    existing = connection.introspection.table_names()
    for table, message in MESSAGES.items():
        if table in existing:
            yield from (statement.format(table=table, message=message) for statement in statements)
