"""R9 once Django is set up."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from chaos.checker import failures
from chaos.environment import Environment
from chaos.process import Process, end_all, freeze_all
from chaos.system import System, close_connections
from engine.config import ROOT
from jobs.models import Job

JOBS = 30
WORKERS = 2
THREADS = 5
LOOK_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 300
RUNNING = Job.State.RUNNING

Seen = dict[int, tuple[str, int]]
"""State and fence of each job."""


@dataclass(frozen=True)
class Recovery:
    """One kill and what came of it.

    running: jobs that workers had claimed. moved, flowed: seconds until all of them moved again, and until
    any other job did. doubted: of those running.
    """

    running: int
    moved: float
    flowed: float
    doubted: int


def run(environment: Environment, options: argparse.Namespace, aim: float) -> int:
    with System(environment, seed=options.seed, fast=False) as system:
        for lease in options.leases:
            os.environ["LEASE_SECONDS"] = str(lease)
            made = [recovery(system) for _ in range(options.repeats)]
            sys.stdout.write(f"{_line(options.database, lease, made, aim)}\n")
            sys.stdout.flush()
        found = failures(system.upstream.log())
        jobs = Job.objects.count()
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"R9 recovery, {options.database}: {jobs} jobs, {len(found)} lost or wrong\n")
    return 1 if found else 0


def recovery(system: System) -> Recovery:
    """Kill everything once amid calls, and time the way back to an empty queue."""
    for _ in range(JOBS):
        system.submit()
    workers = _workers(system)
    while len(_running(_seen())) < THREADS:
        time.sleep(LOOK_EVERY_SECONDS)
    time.sleep(1)
    before = _kill(system, workers)
    began = time.monotonic()
    if system.environment.postgres:
        system.environment.postgres.start()
    workers = _workers(system)
    moved, flowed = _watch(before, began)
    system.settle(PATIENCE_SECONDS)
    end_all(workers)
    running = _running(before)
    doubted = Job.objects.filter(pk__in=running, state=Job.State.IN_DOUBT).count()
    return Recovery(len(running), moved, flowed, doubted)


def _workers(system: System) -> list[Process]:
    command = [sys.executable, str(ROOT / "manage.py"), "worker", "--threads", str(THREADS)]
    return [system.program(*command) for _ in range(WORKERS)]


def _kill(system: System, workers: list[Process]) -> Seen:
    """Kill all at once; return what was seen while everything stood still."""
    freeze_all(workers)
    before = _seen()
    close_connections()
    for worker in workers:
        worker.kill()
    if system.environment.postgres:
        system.environment.postgres.kill()
    return before


def _watch(before: Seen, began: float) -> tuple[float, float]:
    """Return seconds until all that were running have moved, and until the first of the others has."""
    running, flowed = _running(before), 0.0
    while time.monotonic() - began < PATIENCE_SECONDS:
        now, at = _seen(), time.monotonic() - began
        if not flowed and any(now[pk] != seen for pk, seen in before.items() if pk not in running):
            flowed = at
        if flowed and all(now[pk] != before[pk] for pk in running):
            return at, flowed
        time.sleep(LOOK_EVERY_SECONDS)
    raise TimeoutError(f"not everything moves {PATIENCE_SECONDS} s after the kill")


def _seen() -> Seen:
    return {pk: (state, fence) for pk, state, fence in Job.objects.values_list("pk", "state", "fence")}


def _running(seen: Seen) -> set[int]:
    return {pk for pk, (state, _) in seen.items() if state == RUNNING}


def _line(database: str, lease: int, made: Sequence[Recovery], aim: float) -> str:
    return (
        f"R9 recovery, {database}, lease {lease} s, {len(made)} kills amid "
        f"{sum(one.running for one in made)} calls: all moves after {_seconds([one.moved for one in made])}, "
        f"aim {aim:.0f} at most; the queue flows after {_seconds([one.flowed for one in made])}; "
        f"{sum(one.doubted for one in made)} in doubt"
    )


def _seconds(times: Sequence[float]) -> str:
    return f"{median(times):.1f} s ({min(times):.1f} to {max(times):.1f})"
