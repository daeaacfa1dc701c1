"""Index the names of pictures by their trigrams, so that any part of a rare name is found at once.

Neither database has such an index on a column of ``jobs_job`` that an update of the row wouldn't write again:
a job changes its state about four times, and its name only once it is erased. So the names stand in a table
beside it, ``jobs_names``, that triggers keep. They are created after every ``migrate``, because SQLite drops
them when a migration rebuilds the table. An instance whose database can't have the index works without it,
and its health page says so.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from jobs.search.scan import Found

log = logging.getLogger(__name__)

LENGTH = 3
"""Characters of a trigram: a shorter part of a name isn't in the index."""

PATIENCE_MILLISECONDS = 20
"""Time that PostgreSQL may take: it collects every match of a part that is common, and sorts them."""

_WORD = re.compile(rf"[^\W_]{{{LENGTH},}}")  # PostgreSQL has trigrams of letters and digits only

_CREATE = {
    "sqlite": [
        # Without a copy of the names and the places in them: what it finds is compared with the job's name.
        (
            "CREATE VIRTUAL TABLE IF NOT EXISTS jobs_names USING fts5"
            "(name, content='', detail='none', tokenize='trigram')"
        ),
        (
            "CREATE TRIGGER IF NOT EXISTS jobs_names_added AFTER INSERT ON jobs_job "
            "BEGIN INSERT INTO jobs_names (rowid, name) VALUES (new.id, new.name); END"
        ),
        (
            "CREATE TRIGGER IF NOT EXISTS jobs_names_deleted AFTER DELETE ON jobs_job "
            "BEGIN INSERT INTO jobs_names (jobs_names, rowid, name) VALUES ('delete', old.id, old.name); END"
        ),
        # Told to forget another name than it was given, the index calls the database malformed.
        (
            "CREATE TRIGGER IF NOT EXISTS jobs_names_changed AFTER UPDATE OF name ON jobs_job "
            "WHEN old.name <> new.name "
            "BEGIN INSERT INTO jobs_names (jobs_names, rowid, name) VALUES ('delete', old.id, old.name); "
            "INSERT INTO jobs_names (rowid, name) VALUES (new.id, new.name); END"
        ),
        (
            "INSERT INTO jobs_names (rowid, name) SELECT id, name FROM jobs_job "
            "WHERE id NOT IN (SELECT rowid FROM jobs_names)"
        ),
    ],
    "postgresql": [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        (
            "CREATE TABLE IF NOT EXISTS jobs_names "
            "(job_id bigint PRIMARY KEY, team_id bigint NOT NULL, name varchar NOT NULL)"
        ),
        (
            "CREATE OR REPLACE FUNCTION jobs_names_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF TG_OP = 'DELETE' THEN DELETE FROM jobs_names WHERE job_id = OLD.id; "
            "ELSE INSERT INTO jobs_names VALUES (NEW.id, NEW.team_id, NEW.name) "
            "ON CONFLICT (job_id) DO UPDATE SET team_id = excluded.team_id, name = excluded.name; END IF; "
            "RETURN NULL; END $$"
        ),
        # Its lock on ``jobs_job`` lets no job come in between the trigger and the names of the older ones.
        (
            "CREATE OR REPLACE TRIGGER jobs_names_followed AFTER INSERT OR DELETE ON jobs_job "
            "FOR EACH ROW EXECUTE FUNCTION jobs_names_follow()"
        ),
        (
            "CREATE OR REPLACE TRIGGER jobs_names_changed AFTER UPDATE OF name ON jobs_job "
            "FOR EACH ROW WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION jobs_names_follow()"
        ),
        "INSERT INTO jobs_names SELECT id, team_id, name FROM jobs_job ON CONFLICT DO NOTHING",
        "CREATE INDEX IF NOT EXISTS jobs_names_trigrams ON jobs_names USING gin (name gin_trgm_ops)",
    ],
}
_EXISTS = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'jobs_names_changed'",
    "postgresql": "SELECT 1 FROM pg_trigger WHERE tgname = 'jobs_names_changed' "
    "AND tgrelid = to_regclass('jobs_job')",
}


def create(connection: BaseDatabaseWrapper) -> None:
    """Create the table and its triggers unless they are there, with the names of all jobs."""
    is_there.cache_clear()
    if "jobs_job" not in connection.introspection.table_names() or _exists(connection):
        return
    try:
        with transaction.atomic(connection.alias), connection.cursor() as cursor:
            for statement in _CREATE[connection.vendor]:
                cursor.execute(statement)
    except DatabaseError:
        log.warning("The database refuses an index of names; searches scan the jobs.", exc_info=True)


def create_after_migrate(using: str, **_: Any) -> None:
    create(connections[using])


@cache
def is_there() -> bool:
    """Return True if the database has the index; a process asks once."""
    return _exists(connection)


def covers(texts: Sequence[str]) -> bool:
    """Return True if the index answers where each of these texts occurs."""
    enough = all(map(_WORD.search, texts)) if connection.vendor == "postgresql" else True
    return enough and min(map(len, texts)) >= LENGTH and is_there()


def candidates(team: int, texts: Sequence[str], before: int, most: int) -> Found | None:
    """Return the newest jobs before a key that may have one of the texts in their names, newest first.

    There may be jobs of other teams, deleted ones, and ones whose names don't have the text, so the caller
    compares. None if that takes too long, since the texts are common.
    """
    if connection.vendor == "sqlite":
        sql = (
            "SELECT rowid FROM jobs_names WHERE jobs_names MATCH %s AND rowid < %s "
            "ORDER BY rowid DESC LIMIT %s"
        )
        return _found(_column(sql, [" OR ".join(map(_trigrams, texts)), before, most]), most)
    # As a step of its own: in the order of keys, PostgreSQL would read names until there are enough.
    sql = (
        "WITH found AS MATERIALIZED (SELECT job_id, team_id FROM jobs_names WHERE name ILIKE ANY (%s)) "
        "SELECT job_id FROM found WHERE team_id = %s AND job_id < %s ORDER BY job_id DESC LIMIT %s"
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MILLISECONDS}")
            keys = _column(sql, [list(map(_pattern, texts)), team, before, most])
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
            return _found(keys, most)
    except OperationalError:
        return None


def _found(keys: list[int], most: int) -> Found:
    return Found(keys, keys[-1] if len(keys) == most else None)


def _exists(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_EXISTS[connection.vendor])
        return cursor.fetchone() is not None


def _column(sql: str, params: Sequence[Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [key for (key,) in cursor.fetchall()]


def _trigrams(text: str) -> str:
    parts = {text[at : at + LENGTH].replace('"', '""') for at in range(len(text) - LENGTH + 1)}
    return "(" + " AND ".join(f'"{part}"' for part in sorted(parts)) + ")"


def _pattern(text: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
