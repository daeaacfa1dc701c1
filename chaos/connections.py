"""More programs than connections.

Three web processes, fifty programs that call without a pause and a PostgreSQL with its default of 100
connections. Fewer must be taken, every call be answered with its picture, and within a lease after the load
few connections be taken and nothing be running. With ``--restart`` PostgreSQL is restarted in the middle.

The control gives every thread a connection of its own and lets it keep it. It must run out of them.
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psycopg
from django.conf import settings

from chaos import patches
from chaos.experiments import Outcome
from chaos.programs import OK, repeating
from chaos.servers import Postgres
from chaos.system import REMOVE, Prepare, System, close_connections

PROGRAMS = 50
POLL_SECONDS = 0.05
TOLD_WITHIN_SECONDS = 90
CONTROL_SECONDS, CONTROL_TOLD_WITHIN_SECONDS = 60, 10
ALL, TOO_MANY = 100, 97
"""PostgreSQL keeps three of its hundred for superusers, of whom the experiment's user is one."""

TAKEN = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
UNAVAILABLE = 503


class Load:
    """The responses that programs get, and the number of connections taken.

    within: seconds after which a program gives a call up. told: how often each status came; 0 for a call that
    was cut off. taken: connections at each look. refused: looks that found no connection left. kept, left:
    connections and jobs a lease after the load.
    """

    def __init__(self, system: System, server: Postgres, within: float = TOLD_WITHIN_SECONDS) -> None:
        self._system, self._server, self._within = system, server, within
        self._key, self._files = system.key(), {"image": ("photo.png", system.picture())}
        self.told: Counter[int] = Counter()
        self.taken: list[int] = []
        self.refused = self.kept = self.left = 0

    def put(self, seconds: float, *, restart: bool = False, plant: Prepare = None) -> None:
        with self._system.serving(prepare=plant) as web:
            with repeating(1, self._watch), repeating(PROGRAMS, self._call):
                self._wait(seconds / 2)
                if restart:
                    self._server.kill()
                    self._server.start()
                self._wait(seconds / 2)
            if plant is None:
                time.sleep(settings.LEASE_SECONDS * 2)
            self.kept = self._look()
            web.kill()
        self.left = self._system.unfinished()
        close_connections()

    def wrong(self, *, restarted: bool) -> Iterator[str]:
        if max(self.taken) >= TOO_MANY or self.refused:
            yield f"{max(self.taken)} connections were taken, and {self.refused} looks were refused"
        if not self.told[OK] or (not restarted and self.told.total() > self.told[OK]):
            yield f"programs were told {dict(self.told)}"
        if self.left:
            yield f"{self.left} jobs are running a lease after the load"
        if self.kept > settings.WEB_PROCESSES * settings.DATABASE_POOL:
            yield f"{self.kept} connections are taken a lease after the load"

    def _wait(self, seconds: float) -> None:
        """Wait, but no longer if the server has run out of connections: there is no more to see."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.refused:
            time.sleep(POLL_SECONDS)

    def _watch(self, stop: threading.Event) -> None:
        self.taken.append(self._look())
        stop.wait(POLL_SECONDS)

    def _look(self) -> int:
        """Count the connections that are taken; all of them if there is none left to ask by."""
        try:
            with psycopg.connect(self._server.url, connect_timeout=2) as own:
                (taken,) = own.execute(TAKEN).fetchone() or (0,)
        except psycopg.OperationalError as error:
            refused = any(text in str(error) for text in ("too many clients", "connection slots"))
            self.refused += refused
            return ALL if refused else 0
        return int(taken) - 1

    def _call(self, stop: threading.Event) -> None:
        """Make one call, in a connection of its own."""
        status = 0
        with suppress(httpx.HTTPError), self._system.client(self._key, self._within) as http:
            status = http.post(REMOVE, files=self._files).status_code
        self.told[status] += 1
        if status != OK:
            stop.wait(1)


def run(system: System, options: argparse.Namespace) -> Outcome:
    server = system.environment.needed_postgres
    load, control = Load(system, server), Load(system, server, CONTROL_TOLD_WITHIN_SECONDS)
    load.put(options.seconds, restart=options.restart)
    control.put(CONTROL_SECONDS, plant=patches.keep_connections)
    facts = {
        "calls": load.told.total(),
        "answered": load.told[OK],
        "most": max(load.taken),
        "kept": load.kept,
        "left": load.left,
    }
    ran_out = control.refused or control.told[UNAVAILABLE]
    noticed = {"control": max(control.taken) if ran_out else 0}
    return Outcome(list(load.wrong(restarted=options.restart)), noticed, facts)
