"""R9 on its stage."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from django.db import connections

from chaos.child import Child
from chaos.judge import failures
from chaos.site import Site
from chaos.stage import Stage
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
    """running: jobs in a worker's hands at the kill. moved, flowed: seconds until all of them moved again,
    and until any other job did. doubted: of those running."""

    running: int
    moved: float
    flowed: float
    doubted: int


def run(stage: Stage, options: argparse.Namespace, aim: float) -> int:
    with Site(stage, seed=options.seed, hurried=False) as site:
        for lease in options.leases:
            os.environ["LEASE_SECONDS"] = str(lease)
            made = [recovery(site) for _ in range(options.repeats)]
            sys.stdout.write(f"{_line(options.database, lease, made, aim)}\n")
            sys.stdout.flush()
        found = failures(site.upstream.log())
        jobs = Job.objects.count()
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(f"R9 recovery, {options.database}: {jobs} jobs, {len(found)} lost or wrong\n")
    return 1 if found else 0


def recovery(site: Site) -> Recovery:
    """One kill amid calls, and the way back to an empty queue."""
    site.submit_many(JOBS)
    workers = _workers(site)
    while len(_in_hand(_seen())) < THREADS:
        time.sleep(LOOK_EVERY_SECONDS)
    time.sleep(1)
    before = _kill(site, workers)
    began = time.monotonic()
    if site.stage.postgres:
        site.stage.postgres.start()
    workers = _workers(site)
    moved, flowed = _watch(before, began)
    site.settled(PATIENCE_SECONDS)
    for worker in workers:
        worker.end()
    running = _in_hand(before)
    doubted = Job.objects.filter(pk__in=running, state=Job.State.IN_DOUBT).count()
    return Recovery(len(running), moved, flowed, doubted)


def _workers(site: Site) -> list[Child]:
    command = [sys.executable, str(ROOT / "manage.py"), "worker", "--threads", str(THREADS)]
    return [site.program(*command) for _ in range(WORKERS)]


def _kill(site: Site, workers: list[Child]) -> Seen:
    """All at once; returns what was seen while everything stood still."""
    for worker in workers:
        worker.freeze()
    before = _seen()
    connections.close_all()
    for worker in workers:
        worker.kill()
    if site.stage.postgres:
        site.stage.postgres.kill()
    return before


def _watch(before: Seen, began: float) -> tuple[float, float]:
    """Seconds until all that were running have moved, and until the first of the others has."""
    running, flowed = _in_hand(before), 0.0
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


def _in_hand(seen: Seen) -> set[int]:
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
