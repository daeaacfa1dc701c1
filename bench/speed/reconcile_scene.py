"""The measuring part of ``bench.speed.reconcile``, on the database of the settings, which is empty."""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

import django
from django.core.management import call_command

django.setup()  # before anything that defines or reads a model is imported

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.speed.books_rows import Filled, charges_until, fill  # noqa: E402
from bench.speed.cpu import Cpu  # noqa: E402
from bench.speed.vacuum import vacuum  # noqa: E402
from jobs.audit.reconcile import book  # noqa: E402
from jobs.audit.reconcile.account import balances  # noqa: E402
from jobs.audit.reconcile.verdicts import tally  # noqa: E402
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot  # noqa: E402

HOUR = 3600
OK = 200
OPENING = 10**15
REPEATS = 7
MOST_SECONDS, MOST_MILLISECONDS = 60.0, 100.0

RAW_SUMS = """
SELECT a.state, COUNT(*), SUM(h.amount_microcredits), SUM(a.charged_microcredits), SUM(s.amount_microcredits)
FROM jobs_attempt a
JOIN accounts_transfer h ON h.id = a.hold_id
JOIN accounts_transfer s ON s.hold_id = h.id AND s.kind = 'settle'
GROUP BY a.state
"""
RAW_PERIODS = """
SELECT (id - {first} - 1) / {hour}, COUNT(*), SUM(charged_microcredits)
FROM jobs_attempt WHERE id - {first} <= {compared} GROUP BY 1 ORDER BY 1
"""


def run(jobs: int) -> int:
    """Fill, measure and compare; return 1 if a bound is passed or a sum differs."""
    call_command("migrate", verbosity=0)
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    filled = fill(jobs, timezone.now().replace(microsecond=0) - timedelta(seconds=jobs + HOUR))
    hours = _take_balances(filled, jobs)
    _say(f"\nReconciliation of {jobs:,} attempts in {hours} periods, {connection.vendor}\n")
    failures = [*_measure(filled, hours), *_pages(filled)]
    _say("".join(f"FAILED: {failure}\n" for failure in failures))
    return int(bool(failures))


def _take_balances(filled: Filled, jobs: int) -> int:
    vacuum()
    hours = jobs // HOUR
    for hour in range(hours + 1):
        calls = hour * HOUR
        left = OPENING - charges_until(calls)
        book.close(filled.account.pk, filled.at(calls + 0.6), filled.at(calls + 0.7), left, {})
    began = time.perf_counter()
    while BalancePeriod.objects.filter(is_final=False).exists():
        book.refresh(filled.account.pk)
    _say(f"{(time.perf_counter() - began) * 1000 / max(hours, 1):8.1f} ms  to compute a period of an hour\n")
    return hours


def _measure(filled: Filled, hours: int) -> list[str]:
    cpu = Cpu()
    busy, began = cpu.seconds(), time.perf_counter()
    sums = tally(Attempt.objects.all())
    statement = balances(account=filled.account)
    seconds, worked = time.perf_counter() - began, cpu.seconds() - busy
    began = time.perf_counter()
    raw_sums = _rows(RAW_SUMS)
    raw_periods = _rows(RAW_PERIODS.format(first=filled.first, hour=HOUR, compared=hours * HOUR))
    _say(f"{seconds:8.1f} s   all verdicts, sums and periods (at most {MOST_SECONDS:.0f} s)\n")
    _say(f"{worked:8.1f} s   of CPU for that\n")
    _say(f"{time.perf_counter() - began:8.1f} s   the same sums by a plain GROUP BY\n")
    ours = [(each.attempts, each.held, each.charged, each.booked) for each in sums.values()]
    periods = [(each.activity.calls, each.activity.charged) for each in statement.periods]
    rows = list(BalancePeriod.objects.order_by("closing").values_list("calls", "charged"))
    theirs = [(int(count), int(charged)) for _hour, count, charged in raw_periods]
    failures = [f"{seconds:.0f} s are more than {MOST_SECONDS:.0f}"] if seconds > MOST_SECONDS else []
    if ours != [tuple(map(int, figures)) for _state, *figures in raw_sums]:
        failures.append(f"the sums are {ours}, and by GROUP BY {raw_sums}")
    if not periods == rows == theirs:
        failures.append("the charges of the periods differ from a GROUP BY")
    if any(period.missing for period in statement.periods):
        failures.append("something is missing, and nothing was taken")
    return failures


def _pages(filled: Filled) -> list[str]:
    client = Client()
    client.force_login(filled.user)
    middle = BalancePeriod.objects.order_by("pk")[BalancePeriod.objects.count() // 2]
    month = f"{BalanceSnapshot.objects.get(pk=middle.closing_id).came_at:%Y-%m}"
    addresses = {
        "reconciliation": reverse("reconciliation"),
        "reconciliation of a month": f"{reverse('reconciliation')}?month={month}",
        "a period": reverse("balance_period", args=[middle.pk]),
        "purchases": reverse("purchases"),
    }
    cpu = Cpu()
    failures = []
    for name, address in addresses.items():
        milliseconds, worked = _timed(partial(client.get, address), cpu)
        _say(f"{milliseconds:8.1f} ms  {name} (at most {MOST_MILLISECONDS:.0f} ms), CPU {worked:.1f} ms\n")
        if milliseconds > MOST_MILLISECONDS:
            failures.append(f"{name} takes {milliseconds:.0f} ms")
    return failures


def _timed(ask: Callable[[], Any], cpu: Cpu) -> tuple[float, float]:
    """Return the median milliseconds of a good response, and of those that processors worked for it."""
    times, worked = [], []
    for _ in range(REPEATS):
        busy, began = cpu.seconds(), time.perf_counter()
        response = ask()
        times.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (cpu.seconds() - busy))
        if response.status_code != OK:
            raise RuntimeError(f"HTTP {response.status_code}")
    return median(times), median(worked)


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
