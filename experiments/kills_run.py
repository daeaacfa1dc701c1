"""E2: the killing, the verdict, and the control."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from experiments import kills_celery
from experiments.judge import failures
from experiments.kills_anywhere import Kills, Start
from experiments.site import Site
from experiments.stage import Stage, report
from jobs import attempts, outcomes, queue
from jobs.models import Attempt, Job
from jobs.upstream import Upstream

CONTROL_KILLS = 20


def run(stage: Stage, options: argparse.Namespace, there: Sequence[str] = ()) -> int:
    """there: what goes before a command for the other host, if there is one."""
    began = time.monotonic()
    with Site(stage, seed=options.seed) as site:
        if options.celery:
            kill_celery(site, options, there)
        else:
            kill(site, options, options.kills)
        log = site.upstream.log()
        found = failures(log)
        facts = {
            "kills": options.kills,
            "jobs": Job.objects.count(),
            "calls": len(log.calls),
            "doubts": Attempt.objects.filter(state=Attempt.State.IN_DOUBT).count(),
            "failures": len(found),
            "control": len(control(site, options.seed, found)),
            "seconds": round(time.monotonic() - began),
        }
    sys.stdout.writelines(f"{failure}\n" for failure in found)
    where = " on two hosts" if there else ""
    report(f"E2 kills of Celery{where}" if options.celery else "E2 kills", options, **facts)
    return 0 if facts["control"] and not found else 1


def kill(
    site: Site, options: argparse.Namespace, number: int, plant: Callable[[], None] | None = None
) -> None:
    """Workers of our own. plant: done to each before it begins."""
    kills = Kills(site, options, forks(site, options, plant))
    kills.run(number)
    kills.settle()


def kill_celery(site: Site, options: argparse.Namespace, there: Sequence[str]) -> None:
    """The broker dies in the middle."""
    kills = Kills(site, options, kills_celery.starts(site, options, there))
    kills.run(options.kills // 2)
    kills_celery.lose_all_messages(site, two_hosts=bool(there))
    kills.run(options.kills - options.kills // 2)
    kills.settle()


def forks(site: Site, options: argparse.Namespace, plant: Callable[[], None] | None) -> Iterator[Start]:
    """Half of the workers have as many threads as they may, the others one."""
    for number in range(options.workers):
        threads = options.threads if number % 2 else 1
        yield partial(site.worker, threads, plant)


def control(site: Site, seed: int, before: list[str]) -> list[str]:
    """What is found when a lost call is made again."""
    options = argparse.Namespace(seed=seed, workers=4, threads=2, scale=0.1)
    kill(site, options, CONTROL_KILLS, forget_what_was_sent)
    return [failure for failure in failures(site.upstream.log()) if failure not in before]


def forget_what_was_sent() -> None:
    """The control: whatever was running is queued anew."""
    lose = outcomes.lose

    def requeue(job: Job, attempt: Attempt, upstream: Upstream) -> None:
        if attempt.state != Attempt.State.SENT:
            lose(job, attempt, upstream)
            return
        with queue.owned(job):
            attempts.unsend(attempt)
            queue.postpone(job, 0, queue.Reason.REPEATED)

    outcomes.lose = requeue
