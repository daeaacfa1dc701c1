"""E5, a lease shorter than the call.

Calls take longer than their leases while other workers are hungry: the heartbeat has to keep them. Then
workers are frozen past their leases, at each point where it matters and at random; others take their jobs,
and those that thaw must change nothing any more.

The controls: without a heartbeat calls in flight are put in doubt; without fence and states those that thaw
do damage.
"""

import argparse
import time

from django.conf import settings

from chaos import patches
from chaos.experiments import Outcome
from chaos.patches import FREEZE_POINTS
from chaos.process import Process, end_all
from chaos.system import Prepare, System, close_connections
from jobs.models import Job

CALLS, CALL_SECONDS = 8, 5.0
FROZEN_CALL_SECONDS = 1.5
HUNGRY = 3
PATIENCE_SECONDS = 60
LOST = "lease lost"

FREEZES = 12
FROZEN_LEASES = (0.2, 2.0)
BETWEEN_SECONDS = (0.1, 0.6)
SOME_SECONDS = (0.0, 2.5)


def run(system: System, options: argparse.Namespace) -> Outcome:
    found, frozen = [], len(FREEZE_POINTS) + FREEZES * options.rounds
    if doubted := long_calls(system):
        found.append(f"{doubted} of {CALLS} long calls are in doubt")
    found += freeze_at_each_point(system)
    doubted = sum(freeze_at_random(system) for _ in range(options.rounds))
    facts = {"cases": Job.objects.count(), "frozen": frozen, "doubted_at_random": doubted}
    found += system.failures()
    unbeaten = long_calls(system, patches.without_heartbeat)
    freeze_at_each_point(system, patches.without_fence)
    noticed = set(system.failures()) - set(found)
    return Outcome(found, {"doubted_without_heartbeat": unbeaten, "control": len(noticed)}, facts)


def long_calls(system: System, plant: Prepare = None) -> int:
    """Make some at once, among hungry workers; return how many were put in doubt."""
    jobs = [submit(system, f"a long call {n + 1}", CALL_SECONDS) for n in range(CALLS)]
    settle(system, [system.worker(CALLS, plant) for _ in range(HUNGRY)])
    return in_doubt(jobs)


def freeze_at_each_point(system: System, plant: Prepare = None) -> list[str]:
    """Freeze one worker at each, let another take all over, and thaw them; return what is wrong then."""
    frozen = {name: freeze(system, name, plant) for name in FREEZE_POINTS}
    lost = system.count_in_log(LOST)
    time.sleep(settings.LEASE_SECONDS)
    taker = system.worker(threads=4)
    system.settle()
    for process, _ in frozen.values():
        process.terminate()
        process.thaw()
    codes = {name: process.wait(PATIENCE_SECONDS) for name, (process, _) in frozen.items()}
    if plant:  # a job that was put back into the queue although it had ended never ends again
        taker.end()
        return []
    settle(system, [taker])
    found = [f"frozen {name}, it ended with {code}" for name, code in codes.items() if code != 0]
    for name, (_, job) in frozen.items():
        if (state := Job.objects.get(pk=job).state) != FREEZE_POINTS[name].state:
            found.append(f"frozen {name}: the job is {state}")
    lost = system.count_in_log(LOST) - lost
    if lost != sum(point.lost for point in FREEZE_POINTS.values()):
        found.append(f"{lost} of those that thawed found their lease lost")
    return found


def freeze_at_random(system: System) -> int:
    """Freeze workers for longer and shorter than a lease; return how many jobs were in doubt."""
    chance = system.chance
    jobs = [submit(system, "some call", chance.uniform(*SOME_SECONDS)) for _ in range(3 * FREEZES)]
    workers = [system.worker(threads=2) for _ in range(HUNGRY + 1)]
    for _ in range(FREEZES):
        time.sleep(chance.uniform(*BETWEEN_SECONDS))
        worker = chance.choice(workers)
        worker.freeze()
        time.sleep(settings.LEASE_SECONDS * chance.uniform(*FROZEN_LEASES))
        worker.thaw()
    settle(system, workers)
    return in_doubt(jobs)


def freeze(system: System, name: str, plant: Prepare) -> tuple[Process, int]:
    """Freeze a new worker at this point of a new job."""
    point = FREEZE_POINTS[name]
    job = submit(system, f"frozen {name}", FROZEN_CALL_SECONDS if point.when == "during" else 0)

    def prepare() -> None:
        if plant:
            plant()
        patches.see_only(job)
        patches.freeze_at(point)

    process = system.worker(prepare=prepare)
    if not process.wait_frozen(PATIENCE_SECONDS):
        raise TimeoutError(f"no worker froze {name}")
    return process, job


def submit(system: System, name: str, seconds: float) -> int:
    return system.submit(name=name, answers={"fault": "ok", "delay": seconds}).pk


def settle(system: System, workers: list[Process]) -> None:
    system.settle()
    end_all(workers)
    close_connections()


def in_doubt(jobs: list[int]) -> int:
    return Job.objects.filter(pk__in=jobs, state=Job.State.IN_DOUBT).count()
