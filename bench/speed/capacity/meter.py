"""Read what processes have used so far: time of processors, statements, bytes that they wrote."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

TICKS = os.sysconf("SC_CLK_TCK")
SHARED = get_context("fork")
LAG_SECONDS = 1.5  # until PostgreSQL's statistics tell of a transaction
POSTGRESQL = """
SELECT xact_commit, pg_current_wal_insert_lsn() - '0/0', pg_database_size(datname)
FROM pg_stat_database WHERE datname = current_database()
"""


def cpu_seconds(pid: int) -> float:
    """Return how long processors have worked for a process and its descendants, those that ended included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = _children(pid)
    except OSError:
        return 0  # it has ended since it was listed, and counts as its parent's from now on
    return sum(map(int, fields[11:15])) / TICKS + sum(map(cpu_seconds, children))


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def postmaster() -> int:
    """Return the process that started this connection's server, which is a PostgreSQL of this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        status = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


class Statements:
    """Counts the statements of all processes that are forked after ``install``.

    PostgreSQL's BEGIN and COMMIT aren't among them; SQLite's BEGIN is counted by itself.
    """

    def __init__(self) -> None:
        self._counts = SHARED.Array("q", 3)

    def install(self) -> None:
        connection_created.connect(self._watch, weak=False)

    def read(self) -> tuple[int, int, int]:
        """Return how many there were, how many of them in an open transaction, and how many BEGIN."""
        return self._counts[0], self._counts[1], self._counts[2]

    def _watch(self, *, connection: BaseDatabaseWrapper, **_: object) -> None:
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: object, context: Mapping[str, Any]
    ) -> Any:
        begins = str(sql).startswith("BEGIN")
        with self._counts.get_lock():
            self._counts[0] += not begins
            self._counts[1] += not begins and context["connection"].in_atomic_block
            self._counts[2] += begins
        return execute(sql, params, many, context)


@dataclass
class Meter:
    """Reads what the processes of an instance have used so far.

    pids: of web and worker, by name. statements: theirs. own: those of this process, which aren't counted.
    """

    pids: Mapping[str, int]
    statements: Statements
    own: Statements

    def read(self) -> dict[str, float]:
        """Return the figures by name; only the difference of two readings means something."""
        statements, inside, begun = self.statements.read()
        used = {f"CPU of {name}, ms": 1000 * cpu_seconds(pid) for name, pid in self.pids.items()}
        used["statements"] = statements
        is_sqlite = connection.vendor == "sqlite"
        return used | (_sqlite(begun) if is_sqlite else self._postgresql(statements - inside))

    def _postgresql(self, autocommitted: int) -> dict[str, float]:
        time.sleep(LAG_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(POSTGRESQL)
            committed, wal, size = cursor.fetchone()
        cpu, own = 1000 * cpu_seconds(postmaster()), self.own.read()[0]
        return {
            "CPU of the database, ms": cpu,
            "transactions": committed - autocommitted - own,
            "WAL, kB": float(wal) / 1000,
            "database, kB": size / 1000,
        }


def _sqlite(begun: int) -> dict[str, float]:
    path = Path(settings.DATABASES["default"]["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {"transactions": begun, "database, kB": path.stat().st_size / 1000}
