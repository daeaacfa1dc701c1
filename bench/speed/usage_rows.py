"""Fill a database with a team's years, and sum up its usage by day both ways: for ``bench.speed.usage``.

``python -m bench.speed.usage_rows JOBS`` uses the database of the settings, an empty one.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Generic, TypeVar

import django
from django.core.management import call_command

django.setup()  # before anything that defines or reads a model is imported

from django.db import connection  # noqa: E402
from django.db.models import Count, Sum  # noqa: E402
from django.db.models.functions import TruncDate  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.api_keys import keys  # noqa: E402
from accounts.models import LedgerAccount, Team, Transfer, User  # noqa: E402
from accounts.teams.create import open_team  # noqa: E402
from bench.speed.cpu import Cpu  # noqa: E402
from bench.speed.usage_sql import statements  # noqa: E402
from bench.speed.vacuum import vacuum  # noqa: E402
from jobs.audit import usage, usage_rollup  # noqa: E402
from jobs.audit.usage import By  # noqa: E402
from jobs.models import Attempt  # noqa: E402
from jobs.search.date_range import DateRange  # noqa: E402

PEOPLE, CREDITS = 4, 10**15
USUAL = "90 days"
"""The longest period that the page offers by name."""

PERIODS = {USUAL: timedelta(days=89), "all days": timedelta(days=100_000)}
REPEATS, RAW_REPEATS = 15, 3
TARGET_MS = 50

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """A step's milliseconds, those that processors worked, and what it returned."""

    ms: float
    cpu: float
    result: Result


Sums = dict[date, tuple[int, int]]
"""By day: the calls that were charged, and their micro-credits."""


def main(arguments: Sequence[str]) -> int:
    call_command("migrate", verbosity=0)
    team = fill(int(arguments[0]))
    cpu = Cpu()
    mended = timed(lambda: usage_rollup.mend(team), cpu)
    _say(f"recomputed {mended.result:,} rows in {mended.ms / 1000:.1f} s, CPU {mended.cpu / 1000:.1f} s")
    vacuum()
    compared = timed(lambda: list(usage_rollup.differences(team)), cpu)
    lacking = compared.result
    _say(f"compared in {compared.ms / 1000:.1f} s, CPU {compared.cpu / 1000:.1f} s, {len(lacking)} differ")
    today = timezone.localdate()
    medians = {name: measure(team, name, DateRange(today - span, today)) for name, span in PERIODS.items()}
    return 0 if medians[USUAL] <= TARGET_MS and not lacking else 1


def measure(team: Team, name: str, span: DateRange) -> float:
    """Print the times of both ways, and return the median of ours in milliseconds."""
    cpu = Cpu()
    ours = [timed(lambda: from_rollup(team, span), cpu) for _ in range(REPEATS)]
    raw = [timed(lambda: from_transfers(team, span), cpu) for _ in range(RAW_REPEATS)]
    if ours[0].result != raw[0].result:
        raise AssertionError("the roll-up isn't what the transfers add up to")
    credits_ = sum(booked for _calls, booked in ours[0].result.values()) / 1_000_000
    _say(f"{name}: {len(ours[0].result):,} days, {credits_:,.6f} credits both ways")
    for way, times in (("from the roll-up", ours), ("GROUP BY over the transfers", raw)):
        sorted_ms = sorted(each.ms for each in times)
        spread = f"{sorted_ms[0]:,.1f} to {sorted_ms[-1]:,.1f}"
        worked = median(each.cpu for each in times)
        _say(f"  {way}: {median(sorted_ms):,.1f} ms ({spread}), CPU {worked:,.1f} ms")
    return median(each.ms for each in ours)


def from_rollup(team: Team, span: DateRange) -> Sums:
    """Sum up as the page's chart does."""
    days = usage.by_group(team, span, By.DAY)
    return {day.group: (day.usage.calls, day.usage.booked) for day in days if day.usage.calls}


def from_transfers(team: Team, span: DateRange) -> Sums:
    """Sum up what was booked for the attempts, transfer by transfer."""
    booked = Transfer.objects.filter(span.contains("created_at"), team=team, kind__in=Transfer.BOOKINGS)
    days = booked.values(day=TruncDate("created_at"))
    rows = days.annotate(calls=Count("hold__attempt", distinct=True), sum=Sum("amount_microcredits"))
    return {row["day"]: (row["calls"], int(row["sum"])) for row in rows.order_by()}


def timed(step: Callable[[], Result], cpu: Cpu) -> Timed[Result]:
    busy, began = cpu.seconds(), time.perf_counter()
    result = step()
    ms = 1000 * (time.perf_counter() - began)
    return Timed(ms, 1000 * (cpu.seconds() - busy), result)


def fill(jobs: int) -> Team:
    """Let the database itself write the rows, without a roll-up; return their team."""
    people = [User.objects.create_user(f"bench-{n}@example.org") for n in range(PEOPLE)]
    team = open_team("Bench", people[0], CREDITS)
    key = keys.create(team, people[0], "shop")[0]
    accounts = {account.kind: account.pk for account in LedgerAccount.objects.filter(team=team)}
    # One time for all statements: a call's transfers mustn't lie on two sides of midnight.
    now = f"{timezone.now():%Y-%m-%d %H:%M:%S+00:00}"
    values: dict[str, object] = {
        "jobs": jobs,
        "now": now,
        "team": team.pk,
        "people": people[0].pk,
        "key": key.pk,
    }
    values |= accounts | {"base": Transfer.objects.latest("pk").pk}
    with connection.cursor() as cursor:
        for statement in statements(connection.vendor, values):
            cursor.execute(statement)
    vacuum()
    _say(f"{connection.vendor}: {Attempt.objects.count():,} attempts, {Transfer.objects.count():,} transfers")
    return team


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
