"""What happens to processes, and to the database, at random over hours."""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from django.conf import settings

from chaos.process import Process
from chaos.servers import Postgres
from chaos.system import System

FROZEN_SECONDS = (1, 16)
LOCK_TIMEOUT_SECONDS = 4
"""How long SQLite waits for its lock here: 20 s in the product, beside a lease of 60 s."""

LOCKED_SECONDS = 6
AWAY_SECONDS = (0.2, 3)
CUT = 0.5
STOPS_WITHIN_SECONDS = 180

Start = Callable[[], Process]
Wait = Callable[[float], None]


class Hazards:
    """Mortal processes and the database, and what may happen to them. None of the others is touched.

    counts: how often what happened. found: sentences about processes that didn't stop as told. wait: lets so
    many seconds pass.
    """

    def __init__(self, system: System, chance: Random, starts: dict[str, Start], wait: Wait) -> None:
        self._system, self._chance, self._starts, self._wait = system, chance, starts, wait
        self.mortal = {name: start() for name, start in starts.items()}
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []

    def all(self) -> list[Callable[[], None]]:
        """Return what may happen; more often what costs less time."""
        hazards = [self.kill, self.kill, self.kill, self.freeze, self.freeze, self.restart]
        if self._system.environment.postgres:
            return [*hazards, self.cut_connections, self.kill_database]
        return [*hazards, self.lock]

    def kill(self) -> None:
        name = self._pick()
        self.mortal[name].kill()
        self._begin_anew(name, "killed")

    def restart(self) -> None:
        """Restart a process as an operator does: SIGTERM, and it ends what it does."""
        name = self._pick()
        self._end(name)
        self._begin_anew(name, "restarted")

    def freeze(self) -> None:
        """Stop a process and its children, often beyond its leases, and let it go on."""
        name = self._pick()
        os.killpg(self.mortal[name].pid, signal.SIGSTOP)
        self._wait(self._chance.uniform(*FROZEN_SECONDS))
        os.killpg(self.mortal[name].pid, signal.SIGCONT)
        self.counts[f"{_kind(name)}s frozen"] += 1

    def lock(self) -> None:
        """Let another program keep SQLite's lock for longer than any process waits."""

        def keep() -> None:
            other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=60, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            time.sleep(LOCKED_SECONDS)
            other.execute("COMMIT")

        locking = self._system.fork(keep)
        while locking.is_alive:
            self._wait(1)
        self.counts["database locked"] += 1

    def cut_connections(self) -> None:
        self._postgres.terminate_connections(CUT)
        self.counts["connections cut"] += 1

    def kill_database(self) -> None:
        self._postgres.kill()
        self._wait(self._chance.uniform(*AWAY_SECONDS))
        self._postgres.start()
        self.counts["database killed"] += 1

    def end(self) -> None:
        """End all as an operator would."""
        for name in self.mortal:
            self._end(name)

    @property
    def _postgres(self) -> Postgres:
        if (postgres := self._system.environment.postgres) is None:
            raise RuntimeError("there is no PostgreSQL in this environment")
        return postgres

    def _pick(self) -> str:
        return self._chance.choice(sorted(self.mortal))

    def _begin_anew(self, name: str, what: str) -> None:
        self.mortal[name] = self._starts[name]()
        self.counts[f"{_kind(name)}s {what}"] += 1

    def _end(self, name: str) -> None:
        if code := end(self.mortal[name], self._wait):
            self.found.append(f"{name} was told to stop, and ended with {code}")


def end(process: Process, wait: Wait) -> int | None:
    """SIGTERM it, and SIGKILL it if that does nothing in time; return its code."""
    process.terminate()
    last = time.monotonic() + STOPS_WITHIN_SECONDS
    while process.is_alive and time.monotonic() < last:
        wait(0.2)
    process.kill()
    return process.code


def _kind(name: str) -> str:
    return name.partition(" ")[0]
