"""The broker dies under load.

Celery's workers and their beat go on while Redis is killed and started again after a random time; workers
aren't restarted. No worker may end, and every job must be done in the end.

The control runs workers that keep unacknowledged messages, as Celery does by default: some of them must end.
"""

import argparse
import socket
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from random import Random

from django.utils import timezone

from chaos import patches
from chaos.experiments import Outcome
from chaos.process import Process
from chaos.servers import Redis
from chaos.system import System
from chaos.waiting import wait_for
from jobs.models import Job, Ramp

THREADS = 4
BUSY_SECONDS = (0.2, 1.5)
AWAY_SECONDS = (0.0, 1.8)  # Celery tries again after 2 s, and then after 4 s more
CONNECTS_WITHIN_SECONDS = 60  # Celery takes seconds to begin, and to connect again
NOTICES_WITHIN_SECONDS = 1.5
WAITING_JOBS = 4
"""So few that workers have messages in hand and wait for more: in this state Celery's defaults end them."""

LAST_WORDS = "Unrecoverable error"
"""Celery's. The process takes no message from then on, and ends when its threads do."""


def run(system: System, options: argparse.Namespace) -> Outcome:
    redis = system.environment.needed_redis
    # As after a long day's work, so that no call waits for the ramp.
    now = timezone.now()
    Ramp.objects.update_or_create(pk=1, defaults={"began_at": now - timedelta(days=2), "claimed_at": now})
    ended = kill(system, redis, options)
    left = system.unfinished()
    without = kill(system, redis, options, control=True)
    facts = {"kills": options.kills, "jobs": Job.objects.count(), "ended": len(ended)}
    return Outcome([*ended, *([f"{left} jobs are left"] if left else [])], {"control": len(without)}, facts)


def kill(system: System, redis: Redis, options: argparse.Namespace, *, control: bool = False) -> list[str]:
    """Name the workers that ended although they weren't told to. One is enough for the control."""
    chance = Random(options.seed)  # noqa: S311 - it is to replay
    arguments = ("worker", "--concurrency", str(THREADS), "--hostname")
    prepare = patches.restore_messages if control else None
    starts = [partial(system.celery, *arguments, f"w{n}@%h", prepare=prepare) for n in range(options.workers)]
    workers, beat = [start() for start in starts], system.celery("beat")
    ended: list[str] = []
    said = system.count_in_log(LAST_WORDS)
    for number in range(options.kills):
        put_to_work(system, workers)
        system.keep_busy(chance.uniform(*BUSY_SECONDS), WAITING_JOBS)
        redis.kill()
        system.keep_busy(chance.uniform(*AWAY_SECONDS), WAITING_JOBS)
        redis.start()
        system.keep_busy(NOTICES_WITHIN_SECONDS, WAITING_JOBS)
        for n, worker in enumerate(workers):
            if not worker.is_alive:
                ended.append(f"worker {n} ended with {worker.code} after kill {number + 1}")
                workers[n] = starts[n]()
        if control and (ended or system.count_in_log(LAST_WORDS) > said):
            break
    if not control:
        system.settle()
    for process in (beat, *workers):
        process.kill()  # no job is lost: all are done, or only the control's are left
    said = system.count_in_log(LAST_WORDS) - said
    return [*ended, *[f"a worker met an {LAST_WORDS.lower()}"] * said]


def put_to_work(system: System, workers: Sequence[Process]) -> None:
    """Wait until each has claimed a job from now on: it is connected, and has messages in hand."""
    claimed = Job.objects.filter(updated_at__gt=timezone.now())
    names = [f"{socket.gethostname()}:{worker.pid}:" for worker in workers]

    def all_work() -> bool:
        system.keep_busy(0.02, WAITING_JOBS)
        return all(claimed.filter(worker__startswith=name).exists() for name in names)

    wait_for(all_work, CONNECTS_WITHIN_SECONDS, "every worker's claim")
