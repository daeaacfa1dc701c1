"""The broker on its stage: Redis is killed amid wake-ups, acknowledgements and reconnections."""

import argparse
import random
import socket
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.utils import timezone

from chaos.child import Child
from chaos.kills_anywhere import Start
from chaos.kills_celery import CELERY
from chaos.servers import Redis
from chaos.site import Site
from chaos.stage import Stage, report
from jobs.models import Job, Ramp

BUSY_SECONDS = (0.2, 1.5)
AWAY_SECONDS = (0.0, 1.8)  # Celery tries again after 2 s, and then after 4 s more
CONNECTS_WITHIN_SECONDS = 60
NOTICES_WITHIN_SECONDS = 1.5
WAITING_JOBS = 4
"""So few that workers have messages in hand and wait for more: in this state Celery's defaults end them."""
LAST_WORDS = "Unrecoverable error"
"""Celery's. The process takes no message from then on, and ends when its threads do."""
LOOK_EVERY_SECONDS = 0.02
SETTLES_WITHIN_SECONDS = 120
UNMENDED = """
import sys
from kombu.transport import virtual
from pixian_web.celery import app
virtual.Channel.do_restore = True
app.conf.broker_transport_options["ack_emulation"] = True
app.worker_main(sys.argv[1:])
"""
"""Celery's defaults: messages in hand are kept, and put back over the broken connection."""


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    if stage.redis is None:
        raise RuntimeError("there is no broker")
    with Site(stage, seed=options.seed) as site:
        open_the_ramp()
        ended = suffer(site, stage.redis, options)
        failures = [*ended, *unfinished(site)]
        without = suffer(site, stage.redis, options, control=True)
    sys.stdout.writelines(f"{failure}\n" for failure in failures)
    report(
        "broker",
        options,
        kills=options.kills,
        jobs=Job.objects.count(),
        ended=len(ended),
        failures=len(failures),
        control=len(without),
        seconds=round(time.monotonic() - began),
    )
    return 0 if without and not failures else 1


def suffer(site: Site, redis: Redis, options: argparse.Namespace, *, control: bool = False) -> list[str]:
    """Tell which workers ended although nobody told them to. One is enough for the control."""
    chance = random.Random(options.seed)  # noqa: S311 - it is to replay
    program = (sys.executable, "-c", UNMENDED) if control else CELERY
    command = [*program, "worker", "--concurrency", str(options.threads), "--hostname"]
    begin: list[Start] = [partial(site.program, *command, f"w{n}@%h") for n in range(options.workers)]
    workers = [start() for start in begin]
    beat = site.program(*CELERY, "beat")
    ended: list[str] = []
    said = last_words(site)
    for kill in range(options.kills):
        put_to_work(site, workers)
        keep_busy(site, chance.uniform(*BUSY_SECONDS))
        redis.kill()
        keep_busy(site, chance.uniform(*AWAY_SECONDS))
        redis.start()
        keep_busy(site, NOTICES_WITHIN_SECONDS)
        ended += replace(workers, begin, f"kill {kill + 1}")
        if control and (ended or last_words(site) > said):
            break
    if not control:
        site.settled(SETTLES_WITHIN_SECONDS)
    for process in (beat, *workers):
        process.kill()  # nobody's job is lost: all are done, or only the control's are left
    return [*ended, *[f"a worker met an {LAST_WORDS.lower()}"] * (last_words(site) - said)]


def last_words(site: Site) -> int:
    return site.log.read_text(errors="replace").count(LAST_WORDS) if site.log.exists() else 0


def put_to_work(site: Site, workers: Sequence[Child]) -> None:
    """Wait until each has claimed a job from now on: it is connected, and has messages in hand. Celery takes
    seconds to begin, and to connect again."""
    since, end = timezone.now(), time.monotonic() + CONNECTS_WITHIN_SECONDS
    claimed = Job.objects.filter(updated_at__gt=since)
    names = [f"{socket.gethostname()}:{worker.pid}:" for worker in workers]
    while not all(claimed.filter(worker__startswith=name).exists() for name in names):
        if time.monotonic() > end:
            raise TimeoutError("a worker claims nothing")
        keep_busy(site, LOOK_EVERY_SECONDS)


def open_the_ramp() -> None:
    """As after a long day's work, so that no call waits for it."""
    now = timezone.now()
    Ramp.objects.update_or_create(pk=1, defaults={"began_at": now - timedelta(days=2), "claimed_at": now})


def replace(workers: list[Child], begin: Sequence[Start], when: str) -> list[str]:
    """Start those anew that have ended."""
    ended = [n for n, worker in enumerate(workers) if not worker.lives]
    told = [f"worker {n} ended with {workers[n].code} after {when}" for n in ended]
    for n in ended:
        workers[n] = begin[n]()
    return told


def keep_busy(site: Site, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if site.unfinished() < WAITING_JOBS:
            site.submit()
        else:
            time.sleep(min(left, LOOK_EVERY_SECONDS))


def unfinished(site: Site) -> list[str]:
    return [f"{left} jobs are left"] if (left := site.unfinished()) else []
