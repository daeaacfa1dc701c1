"""Connections on stage: the programs, a look at the server's connections all the while, and what is left."""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psycopg
from django.conf import settings
from django.db import connections

from accounts.api_keys import keys
from chaos.kills_gateway import address, starts
from chaos.servers import Postgres
from chaos.site import Site, close_all
from chaos.stage import Stage, report
from jobs.models import Job
from pixian.protocol.credentials import Credentials

LOOK_EVERY_SECONDS = 0.05
UP_WITHIN_SECONDS = 60
TOLD_WITHIN_SECONDS = 90
CONTROL_SECONDS = 60
ALL, TOO_MANY = 100, 97
"""PostgreSQL keeps three of its hundred for superusers, of whom the experiment's user is one."""

TAKEN = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
OK, UNAVAILABLE = 200, 503


@dataclass
class Load:
    """told: how often each status came; 0 for a call that was cut off. taken: connections at each look."""

    told: Counter[int] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)
    refused: int = 0


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    if stage.postgres is None:
        raise RuntimeError("there is no PostgreSQL on this stage")
    with Site(stage, seed=options.seed) as site:
        load, left, kept = suffer(site, stage.postgres, options, options.seconds, restart=options.restart)
        without, _, held = suffer(site, stage.postgres, options, CONTROL_SECONDS, plant=keep_connections)
    failures = [*judged(load, left, kept, restarted=options.restart)]
    sys.stdout.writelines(f"{failure}\n" for failure in failures)
    report(
        "connections",
        options,
        programs=options.programs,
        calls=load.told.total(),
        answered=load.told[OK],
        most=max(load.taken),
        kept=kept,
        left=left,
        failures=len(failures),
        control=max(without.taken),
        control_kept=held,
        control_failed=without.told.total() - without.told[OK],
        seconds=round(time.monotonic() - began),
    )
    return 0 if not failures and (without.refused or without.told[UNAVAILABLE]) else 1


def judged(load: Load, left: int, kept: int, *, restarted: bool) -> Iterator[str]:
    if max(load.taken) >= TOO_MANY or load.refused:
        yield f"{max(load.taken)} connections were taken, and {load.refused} looks were refused"
    if not load.told[OK] or (not restarted and load.told.total() > load.told[OK]):
        yield f"programs were told {dict(load.told)}"
    if left:
        yield f"{left} jobs are running a lease after the load"
    if kept > settings.WEB_PROCESSES * settings.DATABASE_POOL:
        yield f"{kept} connections are taken a lease after the load"


def suffer(
    site: Site,
    server: Postgres,
    options: argparse.Namespace,
    seconds: float,
    *,
    restart: bool = False,
    plant: Callable[[], None] | None = None,
) -> tuple[Load, int, int]:
    """The load, and the jobs and connections that are left a lease after it."""
    key = keys.create(site.teams[0], site.user, "shop")[1]
    (start,) = starts(site, plant)
    web = start()
    wait_until_up()
    load, stop = Load(), threading.Event()
    picture = site.picture()
    programs = [
        threading.Thread(target=call, args=(key, picture, load, stop)) for _ in range(options.programs)
    ]
    with watching(server, load):
        for program in programs:
            program.start()
        wait(seconds / 2, load)
        if restart:
            server.kill()
            server.start()
        wait(seconds / 2, load)
        stop.set()
        for program in programs:
            program.join()
    time.sleep(settings.LEASE_SECONDS * 2)
    kept = look(server, Load())
    web.kill()
    left = Job.objects.unfinished().count()
    close_all()
    return load, left, kept


def wait(seconds: float, load: Load) -> None:
    """Shorter where the server has run out of connections: more than that can't be seen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not load.refused:
        time.sleep(LOOK_EVERY_SECONDS)


def call(key: Credentials, picture: bytes, load: Load, stop: threading.Event) -> None:
    """One program: a call after the other, each in a connection of its own."""
    auth, files = (key.api_id, key.api_secret), {"image": ("photo.png", picture)}
    while not stop.is_set():
        try:
            with httpx.Client(
                base_url=address(), auth=auth, timeout=TOLD_WITHIN_SECONDS, trust_env=False
            ) as http:
                status = http.post("/api/v2/remove-background", files=files).status_code
        except httpx.HTTPError:
            status = 0
        load.told[status] += 1
        if status != OK:
            time.sleep(1)


@contextmanager
def watching(server: Postgres, load: Load) -> Iterator[None]:
    """Meanwhile the server is asked how many connections are taken."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(LOOK_EVERY_SECONDS):
            load.taken.append(look(server, load))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def look(server: Postgres, load: Load) -> int:
    """Connections that are taken; all of them where there is none left to ask by."""
    try:
        with psycopg.connect(server.url, connect_timeout=2) as own:
            (taken,) = own.execute(TAKEN).fetchone() or (0,)
    except psycopg.OperationalError as error:
        refused = any(text in str(error) for text in ("too many clients", "connection slots"))
        load.refused += refused
        return ALL if refused else 0
    return int(taken) - 1


def wait_until_up() -> None:
    end = time.monotonic() + UP_WITHIN_SECONDS
    while time.monotonic() < end:
        try:
            httpx.get(f"{address()}/healthz", trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the web processes didn't come up")


def keep_connections() -> None:
    """The control: no pool, and each thread keeps its connection for ten minutes."""
    told = connections.settings["default"]
    told["OPTIONS"].pop("pool", None)
    told["CONN_MAX_AGE"] = 600
