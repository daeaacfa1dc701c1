"""E5 on its stage."""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings
from django.db import connections

from chaos.child import Child
from chaos.judge import failures
from chaos.leases_frozen import (
    LONG_SECONDS,
    POINTS,
    Point,
    freeze_at,
    is_frozen,
    without_guards,
    without_heartbeat,
)
from chaos.site import Site
from chaos.stage import Stage, report
from jobs.models import Job

CALL_SECONDS = 5.0
HUNGRY = 3
PATIENCE_SECONDS = 60
LOST = "lease lost"

FREEZES = 12
FROZEN_LEASES = (0.2, 2.0)
BETWEEN_SECONDS = (0.1, 0.6)
SOME_SECONDS = (0.0, 2.5)


@dataclass
class Leases:
    site: Site
    frozen: int = 0
    found: list[str] = field(default_factory=list)

    def long_calls(self, number: int, plant: Callable[[], None] | None = None) -> int:
        """So many at once, among hungry workers; returns how many were put in doubt."""
        jobs = [self._submit(f"a long call {n + 1}", CALL_SECONDS) for n in range(number)]
        workers = [self.site.worker(threads=number, prepare=plant) for _ in range(HUNGRY)]
        self._settle(workers)
        return Job.objects.filter(pk__in=jobs, state=Job.State.IN_DOUBT).count()

    def at_each_point(self, plant: Callable[[], None] | None = None) -> None:
        """One worker frozen at each; another takes all over; then they thaw."""
        frozen = {name: self._freeze(name, point, plant) for name, point in POINTS.items()}
        lost = self._lost()
        time.sleep(settings.LEASE_SECONDS)
        taker = self.site.worker(threads=4)
        self.site.settled(PATIENCE_SECONDS)
        for child, _ in frozen.values():
            child.stop()
            child.thaw()
        ended = {name: child.wait(PATIENCE_SECONDS) for name, (child, _) in frozen.items()}
        if plant:  # a job that was put back into the queue although it had ended never ends again
            taker.end()
            return
        self._settle([taker])
        self.found += [f"frozen {name}, it ended with {code}" for name, code in ended.items() if code != 0]
        self.found += [
            f"frozen {name}: the job is {state}"
            for name, (_, job) in frozen.items()
            if (state := Job.objects.get(pk=job).state) != POINTS[name].state
        ]
        if self._lost() - lost != sum(point.lost for point in POINTS.values()):
            self.found.append(f"{self._lost() - lost} of those that thawed found their lease lost")

    def at_random(self, chance: random.Random) -> int:
        """Workers that freeze for longer and shorter than a lease; returns how many jobs were in doubt."""
        jobs = [self._submit("some call", chance.uniform(*SOME_SECONDS)) for _ in range(3 * FREEZES)]
        workers = [self.site.worker(threads=2) for _ in range(HUNGRY + 1)]
        for _ in range(FREEZES):
            time.sleep(chance.uniform(*BETWEEN_SECONDS))
            worker = chance.choice(workers)
            worker.freeze()
            time.sleep(settings.LEASE_SECONDS * chance.uniform(*FROZEN_LEASES))
            worker.thaw()
        self.frozen += FREEZES
        self._settle(workers)
        return Job.objects.filter(pk__in=jobs, state=Job.State.IN_DOUBT).count()

    def _submit(self, name: str, seconds: float) -> int:
        job = self.site.submit(name=name)
        self.site.upstream.by_sha256(job.source_sha256, {"fault": "ok", "delay": seconds})
        return job.pk

    def _freeze(self, name: str, point: Point, plant: Callable[[], None] | None) -> tuple[Child, int]:
        job = self._submit(f"frozen {name}", LONG_SECONDS if point.when == "during" else 0)
        child = self.site.worker(prepare=partial(freeze_at, point, job, plant))
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_frozen(child):
            if time.monotonic() > end:
                raise TimeoutError(f"nobody froze {name}")
            time.sleep(0.01)
        self.frozen += 1
        return child, job

    def _settle(self, workers: list[Child]) -> None:
        self.site.settled(PATIENCE_SECONDS)
        for worker in workers:
            worker.end()
        connections.close_all()

    def _lost(self) -> int:
        """How often a worker said that it found its lease lost."""
        return self.site.log.read_text().count(LOST) if self.site.log.exists() else 0


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    chance = random.Random(options.seed)  # noqa: S311 - it is to replay
    with Site(stage, seed=options.seed) as site:
        leases = Leases(site)
        if doubted := leases.long_calls(options.calls):
            leases.found.append(f"{doubted} of {options.calls} long calls are in doubt")
        leases.at_each_point()
        doubted = sum(leases.at_random(chance) for _ in range(options.rounds))
        frozen, jobs = leases.frozen, Job.objects.count()
        found = [*leases.found, *failures(site.upstream.log())]
        unbeaten = leases.long_calls(options.calls, without_heartbeat)
        leases.at_each_point(without_guards)
        damage = [failure for failure in failures(site.upstream.log()) if failure not in found]
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    report(
        "E5 leases",
        options,
        cases=jobs,
        frozen=frozen,
        doubted_at_random=doubted,
        failures=len(found),
        doubted_without_heartbeat=f"{unbeaten} of {options.calls}",
        control=len(damage),
        seconds=round(time.monotonic() - began),
    )
    return 0 if damage and unbeaten and not found else 1
