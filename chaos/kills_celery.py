"""E2 with Celery: real workers, their beat and their broker, on two hosts where that is possible."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from chaos import hosts
from chaos.kills_anywhere import Start
from chaos.site import Site

CELERY = (sys.executable, "-m", "celery", "-A", "pixian_web.celery")


def starts(site: Site, options: argparse.Namespace, there: Sequence[str]) -> Iterator[Start]:
    """What starts each process: workers, every other one of them on the other host if there is one, and one
    beat."""

    worker = (*CELERY, "worker", "--concurrency", str(options.threads), "--hostname")
    for number in range(options.workers):
        prefix = there if number % 2 else ()
        yield partial(site.program, *prefix, *worker, f"w{number}@%h")
    yield partial(site.program, *CELERY, "beat")


def lose_all_messages(site: Site, *, two_hosts: bool) -> None:
    """The broker is killed, and comes back empty."""
    redis = site.stage.redis
    if redis is None:
        raise RuntimeError("there is no broker")
    redis.kill()
    redis.start()
    if two_hosts:
        hosts.let_in(redis)
