"""E5, a lease shorter than the call.

Calls take longer than their leases while other workers are hungry: the heartbeat has to keep each call from
being taken over. Then workers are frozen past their leases, at each point where it matters and at random;
others take their jobs over by the rules, and those that thaw must change nothing any more.

The controls: without a heartbeat calls in flight are taken over, and put in doubt although they would have
been answered; without fence and states those that thaw do damage.
"""

import argparse
import random
import time
from dataclasses import dataclass, field

from django.conf import settings

from chaos import patches
from chaos.checker import failures
from chaos.experiments import Outcome
from chaos.patches import FREEZE_POINTS
from chaos.process import Process, end_all
from chaos.system import Prepare, System, close_connections
from jobs.models import Job

CALL_SECONDS = 5.0
FROZEN_CALL_SECONDS = 1.5
HUNGRY = 3
PATIENCE_SECONDS = 60
LOST = "lease lost"

FREEZES = 12
FROZEN_LEASES = (0.2, 2.0)
BETWEEN_SECONDS = (0.1, 0.6)
SOME_SECONDS = (0.0, 2.5)


@dataclass
class Leases:
    system: System
    frozen: int = 0
    found: list[str] = field(default_factory=list)

    def long_calls(self, number: int, plant: Prepare = None) -> int:
        """Make so many at once, among hungry workers; return how many were put in doubt."""
        jobs = [self._submit(f"a long call {n + 1}", CALL_SECONDS) for n in range(number)]
        workers = [self.system.worker(threads=number, prepare=plant) for _ in range(HUNGRY)]
        self._settle(workers)
        return Job.objects.filter(pk__in=jobs, state=Job.State.IN_DOUBT).count()

    def freeze_at_each_point(self, plant: Prepare = None) -> None:
        """Freeze one worker at each, let another take all over, and thaw them."""
        frozen = {name: self._freeze(name, plant) for name in FREEZE_POINTS}
        lost = self.system.count_in_log(LOST)
        time.sleep(settings.LEASE_SECONDS)
        taker = self.system.worker(threads=4)
        self.system.settle(PATIENCE_SECONDS)
        for process, _ in frozen.values():
            process.terminate()
            process.thaw()
        codes = {name: process.wait(PATIENCE_SECONDS) for name, (process, _) in frozen.items()}
        if plant:  # a job that was put back into the queue although it had ended never ends again
            taker.end()
            return
        self._settle([taker])
        for name, (_, job) in frozen.items():
            if codes[name] != 0:
                self.found.append(f"frozen {name}, it ended with {codes[name]}")
            if (state := Job.objects.get(pk=job).state) != FREEZE_POINTS[name].state:
                self.found.append(f"frozen {name}: the job is {state}")
        lost = self.system.count_in_log(LOST) - lost
        if lost != sum(point.lost for point in FREEZE_POINTS.values()):
            self.found.append(f"{lost} of those that thawed found their lease lost")

    def freeze_at_random(self, chance: random.Random) -> int:
        """Freeze workers for longer and shorter than a lease; return how many jobs were in doubt."""
        jobs = [self._submit("some call", chance.uniform(*SOME_SECONDS)) for _ in range(3 * FREEZES)]
        workers = [self.system.worker(threads=2) for _ in range(HUNGRY + 1)]
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
        job = self.system.submit(name=name)
        self.system.upstream.by_sha256(job.source_sha256, {"fault": "ok", "delay": seconds})
        return job.pk

    def _freeze(self, name: str, plant: Prepare) -> tuple[Process, int]:
        point = FREEZE_POINTS[name]
        job = self._submit(f"frozen {name}", FROZEN_CALL_SECONDS if point.when == "during" else 0)

        def prepare() -> None:
            if plant:
                plant()
            patches.see_only(job)
            patches.freeze_at(point)

        process = self.system.worker(prepare=prepare)
        if not process.wait_frozen(PATIENCE_SECONDS):
            raise TimeoutError(f"no worker froze {name}")
        self.frozen += 1
        return process, job

    def _settle(self, workers: list[Process]) -> None:
        self.system.settle(PATIENCE_SECONDS)
        end_all(workers)
        close_connections()


def run(system: System, options: argparse.Namespace) -> Outcome:
    chance = random.Random(options.seed)  # noqa: S311 - it is to replay
    leases = Leases(system)
    if doubted := leases.long_calls(options.calls):
        leases.found.append(f"{doubted} of {options.calls} long calls are in doubt")
    leases.freeze_at_each_point()
    doubted = sum(leases.freeze_at_random(chance) for _ in range(options.rounds))
    facts = {"cases": Job.objects.count(), "frozen": leases.frozen, "doubted_at_random": doubted}
    found = [*leases.found, *failures(system.upstream.log())]
    unbeaten = leases.long_calls(options.calls, patches.without_heartbeat)
    leases.freeze_at_each_point(patches.without_fence)
    noticed = set(failures(system.upstream.log())) - set(found)
    return Outcome(found, {"doubted_without_heartbeat": unbeaten, "control": len(noticed)}, facts)
