"""Let one ``manage.py prepare`` run at a time: two at once would both migrate and create a first owner."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connections

KEY = 0x70697869616E
"""The advisory lock's number, the same in every release; within its database nothing else takes one."""

RETRY_SECONDS = 0.5


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process prepares this instance, and keep others waiting until the end."""
    with _locked_database() if connections["default"].vendor == "postgresql" else _locked_folder():
        yield


@contextmanager
def _locked_database() -> Iterator[None]:
    """Hold an advisory lock on PostgreSQL, by a connection of its own.

    A lock of a transaction also works behind PgBouncer. Waiting is polling: a query that waits would have a
    snapshot, and CREATE INDEX CONCURRENTLY in the other process would wait for it in turn.
    """
    connection = connections.create_connection("default")
    try:
        connection.set_autocommit(False)
        while True:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [KEY])
                (locked,) = cursor.fetchone()
            if locked:
                break
            connection.rollback()
            time.sleep(RETRY_SECONDS)
        yield
        connection.rollback()
    finally:
        connection.close()


@contextmanager
def _locked_folder() -> Iterator[None]:
    """Hold a lock on a file beside SQLite's, which the kernel releases if this process dies."""
    with (settings.DATA_DIR / "prepare.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
