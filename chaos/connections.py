"""More programs than connections.

Three web processes, fifty programs that call without a pause and a PostgreSQL with its default of 100
connections. All the while fewer must be taken, every call must be answered with its picture, and within a
lease after the load nothing may be left running and few connections be taken. In the middle PostgreSQL is
restarted once (``--restart``): the programs repeat what failed, and all must be well again by itself.

The control gives every thread a connection of its own and lets it keep it. It must run out of them.
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import psycopg
from django.conf import settings

from chaos import patches
from chaos.experiments import Outcome
from chaos.servers import Postgres
from chaos.system import REMOVE, Prepare, System, close_connections
from pixian.protocol.credentials import Credentials

POLL_SECONDS = 0.05
TOLD_WITHIN_SECONDS = 90
CONTROL_SECONDS = 60
ALL, TOO_MANY = 100, 97
"""PostgreSQL keeps three of its hundred for superusers, of whom the experiment's user is one."""

TAKEN = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
OK, UNAVAILABLE = 200, 503


@dataclass
class Load:
    """The responses that programs got, and the number of connections taken.

    told: how often each status came; 0 for a call that was cut off. taken: connections at each look. refused:
    looks that found no connection left. kept, left: connections and jobs a lease after the load.
    """

    told: Counter[int] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)
    refused: int = 0
    kept: int = 0
    left: int = 0

    def look(self, server: Postgres) -> int:
        """Count the connections that are taken; all of them if there is none left to ask by."""
        try:
            with psycopg.connect(server.url, connect_timeout=2) as own:
                (taken,) = own.execute(TAKEN).fetchone() or (0,)
        except psycopg.OperationalError as error:
            refused = any(text in str(error) for text in ("too many clients", "connection slots"))
            self.refused += refused
            return ALL if refused else 0
        return int(taken) - 1

    def call(self, url: str, key: Credentials, picture: bytes, stop: threading.Event) -> None:
        """Make one call after the other, each in a connection of its own."""
        auth, files = (key.api_id, key.api_secret), {"image": ("photo.png", picture)}
        while not stop.is_set():
            try:
                with httpx.Client(auth=auth, timeout=TOLD_WITHIN_SECONDS, trust_env=False) as http:
                    status = http.post(url, files=files).status_code
            except httpx.HTTPError:
                status = 0
            self.told[status] += 1
            if status != OK:
                time.sleep(1)


def run(system: System, options: argparse.Namespace) -> Outcome:
    load = put_under_load(system, options, options.seconds, restart=options.restart)
    control = put_under_load(system, options, CONTROL_SECONDS, plant=patches.keep_connections)
    facts = {
        "programs": options.programs,
        "calls": load.told.total(),
        "answered": load.told[OK],
        "most": max(load.taken),
        "kept": load.kept,
        "left": load.left,
        "control_kept": control.kept,
        "control_failed": control.told.total() - control.told[OK],
    }
    ran_out = control.refused or control.told[UNAVAILABLE]
    noticed = {"control": max(control.taken) if ran_out else 0}
    return Outcome(list(wrong(load, restarted=options.restart)), noticed, facts)


def wrong(load: Load, *, restarted: bool) -> Iterator[str]:
    if max(load.taken) >= TOO_MANY or load.refused:
        yield f"{max(load.taken)} connections were taken, and {load.refused} looks were refused"
    if not load.told[OK] or (not restarted and load.told.total() > load.told[OK]):
        yield f"programs were told {dict(load.told)}"
    if load.left:
        yield f"{load.left} jobs are running a lease after the load"
    if load.kept > settings.WEB_PROCESSES * settings.DATABASE_POOL:
        yield f"{load.kept} connections are taken a lease after the load"


def put_under_load(
    system: System,
    options: argparse.Namespace,
    seconds: float,
    *,
    restart: bool = False,
    plant: Prepare = None,
) -> Load:
    if (server := system.environment.postgres) is None:
        raise RuntimeError("there is no PostgreSQL in this environment")
    load, stop, ended = Load(), threading.Event(), threading.Event()
    arguments = (f"{system.address}{REMOVE}", system.key(), system.picture(), stop)

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            load.taken.append(load.look(server))

    with system.serving(prepare=plant) as web:
        programs = [threading.Thread(target=load.call, args=arguments) for _ in range(options.programs)]
        watcher = threading.Thread(target=watch)
        for thread in (watcher, *programs):
            thread.start()
        wait(seconds / 2, load)
        if restart:
            server.kill()
            server.start()
        wait(seconds / 2, load)
        stop.set()
        for thread in programs:
            thread.join()
        ended.set()
        watcher.join()
        time.sleep(settings.LEASE_SECONDS * 2)
        load.kept = Load().look(server)
        web.kill()
    load.left = system.unfinished()
    close_connections()
    return load


def wait(seconds: float, load: Load) -> None:
    """Wait, but no longer if the server has run out of connections: there is no more to see."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not load.refused:
        time.sleep(POLL_SECONDS)
