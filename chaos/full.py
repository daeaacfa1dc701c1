"""E33, the disk is full.

Uploads, workers and programs go on while the small volume of database and pictures is filled to its last byte
and has room again later. No process may end by it; web answers, and ``/readyz`` says that it isn't ready.
PostgreSQL ends if its log finds no room, and is started again as by any supervisor. In the end nothing that
was acknowledged, booked or told may be missing, no call be in doubt, and the checker must find nothing.

The control doesn't wait for the database to commit what a call has come to. Its calls must be in doubt.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from django.conf import settings

from chaos import patches
from chaos.database import Load, broken, check
from chaos.experiments import Outcome
from chaos.process import Process, end_all
from chaos.programs import Programs, misled
from chaos.servers import NotStartedError
from chaos.system import System, close_connections
from chaos.volumes import Volume, mounted
from chaos.waiting import wait_for
from jobs.models import Attempt
from jobs.queue import heartbeat

MEGABYTES = {"sqlite": 96, "postgresql": 400}
BETWEEN_SECONDS = (0.5, 3.0)
FULL_SECONDS = (1.0, 6.0)
ANSWERS_WITHIN_SECONDS = 10
SETTLES_WITHIN_SECONDS = 300  # uploads go on while nothing is claimed
PROGRAMS = 2
POOL_SECONDS = 0.5  # for a connection, and between two looks for the server: 10 s and 5 s
STEADY_AFTER_SECONDS = 3  # after both, and a heartbeat: 8 s
CONTROL_FILLS, WAITING_JOBS = 3, 30
SAID_BY_DATABASES = ("database or disk is full", "No space left on device")


def run(system: System, options: argparse.Namespace) -> Outcome:
    heartbeat.STEADY_AFTER_SECONDS = STEADY_AFTER_SECONDS
    if postgres := system.environment.postgres:
        pool = settings.DATABASES["default"]["OPTIONS"]["pool"]
        pool |= {"timeout": POOL_SECONDS, "reconnect_timeout": POOL_SECONDS}
    place = (postgres or system.environment).folder / "volume"  # where PostgreSQL's user may go
    place.mkdir()
    with mounted(place, MEGABYTES[options.database]):
        volume = Volume(place)
        with _moved(system, volume):
            with system.serving() as web:
                found, facts = _fill(system, volume, web, options)
            return Outcome(found, {"control": _control(system, volume)}, facts)


@contextmanager
def _moved(system: System, volume: Volume) -> Iterator[None]:
    """Put the product's data on the volume; PostgreSQL ends before the volume goes."""
    close_connections()
    volume.take(system.environment.folder / "data")
    if postgres := system.environment.postgres:
        postgres.stop(cleanly=True)
        volume.take(postgres.folder / "data")
        postgres.start()
    try:
        yield
    finally:
        close_connections()
        if postgres:
            postgres.stop()


def _fill(
    system: System, volume: Volume, web: Process, options: argparse.Namespace
) -> tuple[list[str], dict[str, object]]:
    """Fill the volume so many times; return what is wrong in the end, and figures."""
    load, chance, found = Load(system, "main"), system.chance, list[str]()
    workers, uploaders = load.workers(), load.uploaders()
    programs = Programs(system, str(options.seed), threads=PROGRAMS)
    for _ in range(options.fills):
        time.sleep(chance.uniform(*BETWEEN_SECONDS))
        volume.fill()
        found += _silent(system)
        volume.stay_full(chance.uniform(*FULL_SECONDS))
        volume.empty()
        _supervise(system)
    found += [f"process {each.pid} ended with {each.code}" for each in [*workers, web] if not each.is_alive]
    found += end_all(uploaders)
    told = programs.end()
    system.settle(SETTLES_WITHIN_SECONDS)
    found += end_all(workers)
    wrong, facts = check(load)
    found += [f"{facts['doubted']} calls are in doubt"] if facts["doubted"] else []
    found += [*wrong, *misled(told, system.upstream.log())]
    if not system.environment.postgres:
        found += broken()
    figures: dict[str, object] = {"fills": options.fills, **facts, "requests": len(told)}
    figures["refused"] = sum(each.status == httpx.codes.SERVICE_UNAVAILABLE for each in told)
    figures["unwritten"] = sum(system.count_in_log(words) for words in SAID_BY_DATABASES)
    return found, figures


def _silent(system: System) -> Iterator[str]:
    """Name what web doesn't say of a full volume."""
    for path, is_fine in (("/healthz", True), ("/readyz", False)):
        try:
            with system.client(seconds=ANSWERS_WITHIN_SECONDS) as http:
                response = http.get(path)
        except httpx.HTTPError as error:
            yield f"{path} on a full volume: {error!r}"
        else:
            if response.is_success is not is_fine:
                yield f"{path} on a full volume: {response.status_code} {response.text}"


def _supervise(system: System) -> None:
    """Start PostgreSQL again if it ended, as any init system does."""
    postgres = system.environment.postgres
    if postgres is None:
        return

    def is_up() -> bool:
        with suppress(NotStartedError):
            if postgres.has_ended:
                postgres.start()
            return True
        return False

    wait_for(is_up, SETTLES_WITHIN_SECONDS, "the start of PostgreSQL")


def _control(system: System, volume: Volume) -> int:
    """Count calls in doubt because their workers gave up what the database didn't commit at once."""
    workers = [system.worker(2, patches.insist_on_nothing) for _ in range(4)]
    for _ in range(CONTROL_FILLS):
        system.keep_busy(BETWEEN_SECONDS[0], WAITING_JOBS)
        volume.stay_full(FULL_SECONDS[0])
        volume.empty()
        _supervise(system)
    system.settle(SETTLES_WITHIN_SECONDS)
    end_all(workers)
    return Attempt.objects.in_doubt().count()
