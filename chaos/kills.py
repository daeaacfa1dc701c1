"""E2, a crash anywhere.

Some workers, more jobs than they can do, an upstream that answers in every way it can, and every now and
then ``kill -9`` for a process, which is replaced at once. In the end the checker must find nothing.
``--gateway`` kills the web process too, amid the calls of programs that ask again; ``--celery`` kills Celery
workers, on two hosts if possible, their beat and their broker.

The control repeats a call whose worker died. At the gateway it forgets Idempotency-Keys.
"""

import argparse
import signal
from collections.abc import Callable
from functools import partial
from random import Random

from chaos import hosts, patches
from chaos.experiments import Outcome
from chaos.process import Process
from chaos.programs import Programs, Told, misled
from chaos.system import Prepare, System
from jobs.models import Attempt, Job

BETWEEN_KILLS_SECONDS = 0.3, 3
WAITING_JOBS = 30  # there are always so many, so that every death finds a worker at work
THREADS = 2
CONTROL_KILLS = 20

Start = Callable[[], Process]


def run(system: System, options: argparse.Namespace) -> Outcome:
    told: list[Told] = []
    if options.celery:
        kill_celery(system, options)
    else:
        told = kill(system, options, options.kills)
    log = system.upstream.log()
    found = [*misled(told, log), *system.failures(web_killed=options.gateway)]
    facts: dict[str, object] = {"kills": options.kills, "jobs": Job.objects.count()}
    facts["hosts"] = 2 if options.other_host else 1
    if told:
        facts |= {"requests": len(told), "repeated": sum(each.tries > 1 for each in told)}
    facts |= {"calls": len(log.calls), "doubts": Attempt.objects.in_doubt().count()}
    noticed = set(control(system, options.seed, gateway=options.gateway)) - set(found)
    return Outcome(found, {"control": len(noticed)}, facts)


class Kills:
    """Processes that are killed at random, and started again at once."""

    def __init__(self, system: System, seed: int, scale: float, starts: list[Start]) -> None:
        self._system, self._scale, self._starts = system, scale, starts
        self._chance = Random(seed)  # noqa: S311 - it is to replay
        self._processes = [start() for start in starts]

    def run(self, kills: int) -> None:
        shortest, longest = (seconds * self._scale for seconds in BETWEEN_KILLS_SECONDS)
        for _ in range(kills):
            self._system.keep_busy(self._chance.uniform(shortest, longest), WAITING_JOBS)
            place = self._chance.randrange(len(self._processes))
            self._processes[place].kill()
            self._processes[place] = self._starts[place]()

    def settle(self) -> None:
        """Let the last ones finish what there is, and end them as an operator would."""
        self._system.settle()
        codes = [process.end() for process in self._processes]
        if not {*codes} <= {0, -signal.SIGTERM}:  # the latter if it was started just now
            last = self._system.log_tail()
            raise RuntimeError(f"processes that were told to stop ended with {codes}; their log:\n{last}")


def kill(system: System, options: argparse.Namespace, kills: int, plant: Prepare = None) -> list[Told]:
    """Kill our own workers or, amid programs' calls, a web process too; return what programs were told."""
    starts = workers(system, options.workers, None if options.gateway else plant)
    if options.gateway:
        starts.append(partial(system.web, prepare=plant))
    killing = Kills(system, options.seed, options.scale, starts)
    programs = Programs(system, f"{options.seed}-{kills}") if options.gateway else None
    killing.run(kills)
    told = programs.end() if programs else []
    killing.settle()
    return told


def kill_celery(system: System, options: argparse.Namespace) -> None:
    """Kill Celery's workers and their beat, and in the middle their broker, which comes back empty."""
    redis = system.environment.needed_redis
    starts: list[Start] = [partial(system.celery, "beat")]
    for number in range(options.workers):  # every other one on the other host if there is one
        away = partial(hosts.move, options.other_host) if options.other_host and number % 2 else None
        arguments = ("worker", "--concurrency", str(THREADS), "--hostname", f"w{number}@%h")
        starts.append(partial(system.celery, *arguments, prepare=away))
    killing = Kills(system, options.seed, options.scale, starts)
    killing.run(options.kills // 2)
    redis.kill()
    redis.start()
    killing.run(options.kills - options.kills // 2)
    killing.settle()


def workers(system: System, number: int, plant: Prepare = None) -> list[Start]:
    """Give half of the workers as many threads as they may have, the others one."""
    return [partial(system.worker, THREADS if n % 2 else 1, plant) for n in range(number)]


def control(system: System, seed: int, *, gateway: bool = False) -> list[str]:
    """Plant a bug, and name what is wrong then."""
    number, scale = (2, 0.3) if gateway else (4, 0.1)
    options = argparse.Namespace(seed=seed, workers=number, scale=scale, gateway=gateway)
    plant = patches.forget_idempotency_keys if gateway else patches.resend_lost_calls
    told = kill(system, options, CONTROL_KILLS, plant)
    return list(misled(told, system.upstream.log())) if gateway else system.failures()
