"""Back an instance up, destroy it and restore it, by the commands that docs/operating.md gives."""

import psycopg
from psycopg.sql import SQL

from chaos.operator import Operator
from chaos.system import System, close_connections

DUMP = {
    "sqlite": "sqlite3 data/db.sqlite3 \"VACUUM INTO 'backup/{name}.sqlite3'\"",
    "postgresql": 'pg_dump -Fc -f backup/{name}.dump "$DATABASE_URL"',
}
RESTORE = {
    "sqlite": ["cp backup/{name}.sqlite3 data/db.sqlite3"],
    "postgresql": ["createdb postgres", 'pg_restore --exit-on-error -d "$DATABASE_URL" backup/{name}.dump'],
}


def dump(operator: Operator, name: str) -> None:
    """Copy the database while all runs."""
    (operator.system.environment.folder / "backup").mkdir(exist_ok=True)
    operator.shell(DUMP[_database(operator)].format(name=name))


def restore(operator: Operator, name: str) -> None:
    """Restore the database into the place where there is none."""
    for command in RESTORE[_database(operator)]:
        operator.shell(command.format(name=name))


def lose_database(system: System) -> None:
    """Delete the database with all that belongs to it; PostgreSQL is killed first."""
    close_connections()
    if postgres := system.environment.postgres:
        postgres.kill()
        postgres.start()
        template = postgres.url.rpartition("/")[0] + "/template1"
        with psycopg.connect(template, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE postgres WITH (FORCE)"))
    else:
        for path in (system.environment.folder / "data").glob("db.sqlite3*"):
            path.unlink()


def _database(operator: Operator) -> str:
    return "postgresql" if operator.system.environment.postgres else "sqlite"
