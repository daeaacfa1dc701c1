"""Time that processors worked, in this process and in PostgreSQL's, which a busy machine hardly stretches."""

import time
from contextlib import suppress
from pathlib import Path

import psycopg
from django.db import connection

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
NANOSECONDS = 1_000_000_000


class Cpu:
    """A clock that runs while a processor works for this process, or for its database on this machine."""

    def __init__(self) -> None:
        self._server: psycopg.Connection | None = None
        if connection.vendor == "postgresql":
            given = connection.get_connection_params()
            names = ("dbname", "host", "port", "user", "password")
            own = {name: given[name] for name in names if given.get(name)}
            self._server = psycopg.connect(**own, autocommit=True)

    def seconds(self) -> float:
        """Return the seconds so far; only the difference of two calls means something."""
        if self._server is None:
            return time.process_time()
        backends = [pid for (pid,) in self._server.execute(BACKENDS).fetchall()]
        return time.process_time() + sum(map(_seconds_of, backends))


def _seconds_of(pid: int) -> float:
    """Return the seconds that a process of Linux has been on a processor; 0 if that can't be known."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS
    return 0.0
