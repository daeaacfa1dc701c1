"""How often a second the rows can be locked that all processes lock, by what locks them."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from django.conf import settings
from django.db import connection

from accounts import rate_limits
from accounts.ledger import operations as ledger
from bench.speed.capacity import far, fill
from bench.speed.capacity.meter import SHARED
from chaos.system import System, close_connections
from jobs.calls import accounts
from jobs.models import Job, Price
from jobs.queue import claims

QUEUED = 10_000
AWAY_MS = 1.0
HELD, CHARGED = 1000, 600
BAND, RATE = 20, 10**6

Work = Callable[[int], int]
"""What a client does again and again; returns for how many pictures that was."""


def run(system: System, options: argparse.Namespace) -> None:
    fill.queue(system, QUEUED, len(system.teams))
    settings.CALLS_IN_FLIGHT = settings.CALLS_AT_START = 10_000  # the row is to be the limit
    upstream, api_id = accounts.named()
    Price.objects.create(upstream=upstream, api_id=api_id, band=BAND, microcredits_per_megapixel=RATE)
    _table(system, options, f"{options.database}, on this machine")
    if postgres := system.environment.postgres:
        with _far(system, postgres.port):
            _table(system, options, f"{options.database}, {_round_trip_ms():.1f} ms away")


@contextmanager
def _far(system: System, port: int) -> Iterator[None]:
    """Let the database be as far away as on another machine."""
    connection.settings_dict["PORT"] = far.relay(system, port, AWAY_MS)
    close_connections()
    yield
    connection.settings_dict["PORT"] = port
    close_connections()


def _round_trip_ms(times: int = 200) -> float:
    """Return how long the shortest statement takes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        began = time.perf_counter()
        for _ in range(times):
            cursor.execute("SELECT 1")
        return 1000 * (time.perf_counter() - began) / times


def _table(system: System, options: argparse.Namespace, title: str) -> None:
    works: dict[str, Work] = {
        "a program's call admitted (ramp)": _admit,
        "a job claimed (ramp)": partial(_claim, 1),
        "jobs claimed by 5 (ramp)": partial(_claim, 5),
        "hold and settle, one team": partial(_hold_and_settle, system, 1),
        "hold and settle, a team each": partial(_hold_and_settle, system, len(system.teams)),
        "a lower charge learned (price)": _learn,
        "a call counted (limit a minute)": _count,
    }
    sys.stdout.write(f"{title}; a second, with so many clients at once\n")
    sys.stdout.write(f"{'':34}" + "".join(f"{clients:7}" for clients in options.clients) + "\n")
    for name, work in works.items():
        rates = [_rate(system, work, clients, options.seconds) for clients in options.clients]
        sys.stdout.write(f"{name:34}" + "".join(f"{rate:7.0f}" for rate in rates) + "\n")
        sys.stdout.flush()


def _rate(system: System, work: Work, clients: int, seconds: float) -> float:
    """Return how often a second so many processes do this together."""
    done, ready = SHARED.Array("q", clients), SHARED.Barrier(clients)

    def loop(number: int) -> None:
        work(number)
        ready.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done[number] += work(number)

    processes = [system.fork(partial(loop, number)) for number in range(clients)]
    if any(process.wait() for process in processes):
        raise RuntimeError(system.log.read_text()[-2000:])
    return float(sum(done[:])) / seconds


def _admit(_number: int) -> int:
    with claims.writing():
        claims.admit()
    return 1


def _claim(threads: int, number: int) -> int:
    """Claim for some threads at once, and put back what was claimed, of which the row knows nothing."""
    jobs = claims.claim_each([f"{number}:{thread}" for thread in range(threads)])
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state=Job.State.QUEUED, lease_until=None)
    return len(jobs)


_keys = count()


def _hold_and_settle(system: System, teams: int, number: int) -> int:
    key = f"{connection.vendor}:{time.monotonic_ns()}:{number}:{next(_keys)}"
    held = ledger.hold(system.teams[number % teams], HELD, key=key, reference="bench")
    ledger.settle(held, CHARGED)
    return 1


def _count(_number: int) -> int:
    rate_limits.take(rate_limits.Bound("team:bench", 10**7))
    return 1


def _learn(_number: int) -> int:
    Price.objects.learn(*accounts.named(), BAND, RATE - 1, 0)
    return 1
