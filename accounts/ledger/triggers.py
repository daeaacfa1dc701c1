"""Make the database refuse to change or delete a transfer.

Django has no constraint for this, and ``QuerySet.update()`` or a database shell would bypass a guard in
Python. The triggers are created after every ``migrate``, because SQLite drops them when a migration rebuilds
the table.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "accounts_transfer"
MESSAGE = "a transfer is never changed or deleted; correct it with a new one"

GUARDS = {
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS {TABLE}_no_{verb} BEFORE {verb} ON {TABLE} "
        f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        for verb in ("update", "delete")
    ],
    "postgresql": [
        (
            f"CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation'; END $$"
        ),
        (
            f"CREATE OR REPLACE TRIGGER {TABLE}_immutable BEFORE UPDATE OR DELETE ON {TABLE} "
            f"FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()"
        ),
        (
            f"CREATE OR REPLACE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()"
        ),
    ],
}
UNGUARDS = {
    "sqlite": [f"DROP TRIGGER IF EXISTS {TABLE}_no_{verb}" for verb in ("update", "delete")],
    "postgresql": [
        f"DROP TRIGGER IF EXISTS {TABLE}_{name} ON {TABLE}" for name in ("immutable", "no_truncate")
    ],
}


def guard(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers that don't exist yet."""
    _run(connection, GUARDS)


def unguard(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers. For tests only, which empty the tables between them."""
    _run(connection, UNGUARDS)


def guard_after_migrate(using: str, **_: Any) -> None:
    connection = connections[using]
    if TABLE in connection.introspection.table_names():
        guard(connection)


def _run(connection: BaseDatabaseWrapper, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
