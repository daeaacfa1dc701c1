"""A queue that many processes serve, beside its simulation by what the pictures of this run cost."""

import argparse
import os
import sys
import time
from dataclasses import replace
from functools import partial
from statistics import mean

from django.conf import settings
from django.db import connection

from bench.speed.capacity import fill
from bench.speed.capacity.meter import SHARED, Statements, cpu_seconds, postmaster
from bench.speed.capacity.simulation import Costs, Load, simulate
from chaos.process import Process, end_all
from chaos.system import System
from jobs.models import Job

ONCE = Load(processes=2, threads=5, teams=5, limit=10, cores=2)
SAMPLE_SECONDS = 1
SOURCES = 30  # for each call in flight, so that no job that is claimed lacks one
SPIN_SECONDS = 3
SIMULATED_SECONDS = 600
LOCKED_SHARE = 0.25
"""Of the database's time for a picture: as much is spent under the ramp's row as under the team's."""

ACTIVITY = """
SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def run(system: System, options: argparse.Namespace) -> None:
    times = options.times
    load = replace(ONCE, processes=2 * times, teams=5 * times, limit=10 * times)
    settings.CALLS_IN_FLIGHT = settings.CALLS_AT_START = load.limit
    fill.queue(system, options.jobs, load.teams, with_source=SOURCES * load.limit)
    before = _cores(system)
    seen = _served(system, load, options)
    load = replace(load, cores=(before + _cores(system)) / 2)
    _say(f"{options.database}, {options.jobs} jobs queued, upstream {options.delay:.1f} s")
    _say(f"{load}")
    _say("measured:  " + ", ".join(f"{value:.2f} {name}" for name, value in seen.items()))
    database = seen["database CPU ms"] / 1000
    costs = Costs(
        worker=seen["worker CPU ms"] / 1000,
        # The stub works on the same processors.
        database=database * (1 - 2 * LOCKED_SHARE) + seen["stub CPU ms"] / 1000,
        claim=database * LOCKED_SHARE,
        booking=database * LOCKED_SHARE,
        upstream=options.delay,
    )
    _say(f"simulated by {costs}:")
    _say(f"  {simulate(costs, load, SIMULATED_SECONDS)}")


def _served(system: System, load: Load, options: argparse.Namespace) -> dict[str, float]:
    """Let the processes serve the queue; return how that went, and what a picture cost."""
    statements, first = Statements(), _done()
    workers = [system.worker(load.threads, prepare=statements.install) for _ in range(load.processes)]
    while _done() < first + load.limit:  # which began together
        time.sleep(SAMPLE_SECONDS)
    before, began, samples = _totals(system, workers, statements), time.monotonic(), []
    while time.monotonic() - began < options.seconds or _done() < before["jobs"] + load.limit:
        time.sleep(SAMPLE_SECONDS)
        samples.append(_sample(system))
    seconds, now = time.monotonic() - began, _totals(system, workers, statements)
    wrong = [str(job) for job in Job.objects.filter(state__in=[Job.State.FAILED, Job.State.IN_DOUBT])]
    if faults := [*end_all(workers), *wrong]:
        raise RuntimeError(f"{faults}: {system.log.read_text()[-2000:]}")
    used = {name: now[name] - before[name] for name in now}
    jobs = used.pop("jobs")
    means = {name: mean(sample[name] for sample in samples) for name in samples[0]}
    return {"jobs a second": jobs / seconds, **means, **{name: value / jobs for name, value in used.items()}}


def _done() -> int:
    return Job.objects.filter(state=Job.State.DONE).count()


def _sample(system: System) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(ACTIVITY)
        connections, waiting = cursor.fetchone()
    in_flight = system.upstream.order("status")["in_flight"]
    return {"calls in flight": in_flight, "connections": connections, "waiting for a lock": waiting}


def _totals(system: System, workers: list[Process], statements: Statements) -> dict[str, float]:
    return {
        "jobs": _done(),
        "statements": statements.read()[0],
        "worker CPU ms": 1000 * sum(cpu_seconds(worker.pid) for worker in workers),
        "database CPU ms": 1000 * cpu_seconds(postmaster()),
        "stub CPU ms": 1000 * cpu_seconds(system.upstream.child.process.pid or 0),
    }


def _cores(system: System) -> float:
    """Return how many processors this machine, which others use too, has for whoever wants them all."""
    used = SHARED.Array("d", os.cpu_count() or 1)

    def spin(number: int) -> None:
        end = time.monotonic() + SPIN_SECONDS
        while time.monotonic() < end:
            pass
        used[number] = time.process_time()

    for process in [system.fork(partial(spin, number)) for number in range(len(used))]:
        process.wait()
    return float(sum(used[:])) / SPIN_SECONDS


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
