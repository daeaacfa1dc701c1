"""E2: the killing, the verdict, and the control."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from chaos import kills_celery, kills_gateway
from chaos.judge import failures
from chaos.kills_anywhere import Kills, Start
from chaos.kills_gateway import Told, misled
from chaos.site import Site
from chaos.stage import Stage, report
from jobs.calls import attempts, outcomes
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.queue import claims

CONTROL_KILLS = 20


def run(stage: Stage, options: argparse.Namespace, there: Sequence[str] = ()) -> int:
    """there: what goes before a command for the other host, if there is one."""
    began = time.monotonic()
    told: list[Told] = []
    with Site(stage, seed=options.seed) as site:
        if options.celery:
            kill_celery(site, options, there)
        elif options.gateway:
            told = kill_gateway(site, options, options.kills)
        else:
            kill(site, options, options.kills)
        log = site.upstream.log()
        found = [*misled(told, log), *failures(log, uploads_cut=options.gateway)]
        facts = {
            "kills": options.kills,
            "jobs": Job.objects.count(),
            **({"requests": len(told), "repeated": sum(each.tries > 1 for each in told)} if told else {}),
            "calls": len(log.calls),
            "doubts": Attempt.objects.filter(state=Attempt.State.IN_DOUBT).count(),
            "failures": len(found),
            "control": len((control_of_gateway if options.gateway else control)(site, options.seed, found)),
            "seconds": round(time.monotonic() - began),
        }
    sys.stdout.writelines(f"{failure}\n" for failure in found)
    where = " on two hosts" if there else ""
    whose = " of Celery" if options.celery else " at the gateway" if options.gateway else ""
    report(f"E2 kills{whose}{where}", options, **facts)
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


def kill_gateway(
    site: Site, options: argparse.Namespace, number: int, plant: Callable[[], None] | None = None
) -> list[Told]:
    """Our own workers, and a web process amid programs' calls; returns what those were told."""
    kills = Kills(site, options, [*forks(site, options, None), *kills_gateway.starts(site, plant)])
    programs = kills_gateway.Programs(site, f"{options.seed}-{number}")
    kills.run(number)
    told = programs.end()
    kills.settle()
    return told


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


def control_of_gateway(site: Site, seed: int, before: list[str]) -> list[str]:
    """What is found when a repetition is taken for another request."""
    options = argparse.Namespace(seed=seed, workers=2, threads=2, scale=0.3)
    told = kill_gateway(site, options, CONTROL_KILLS, kills_gateway.forget_keys)
    return [failure for failure in misled(told, site.upstream.log()) if failure not in before]


def forget_what_was_sent() -> None:
    """The control: whatever was running is queued anew."""
    lose = outcomes.handle_lost_response

    def requeue(job: Job, attempt: Attempt, upstream: Upstream) -> None:
        if attempt.state != Attempt.State.SENT:
            lose(job, attempt, upstream)
            return
        with claims.owned(job):
            attempts.unsend(attempt)
            claims.postpone(job, 0, claims.Reason.REPEATED)

    outcomes.handle_lost_response = requeue
