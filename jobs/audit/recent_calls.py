"""Describe the newest calls to the upstream: how they ended, how long they took, what they were charged.

Each question reads a bounded number of rows, however many calls there ever were.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.utils import timezone

from jobs.calls import pricing
from jobs.models import Attempt, UpstreamAccount
from pixian.protocol.limits import processed_pixels

DAY, WEEK, SAMPLED = timedelta(days=1), timedelta(days=7), timedelta(days=60)
MAX_CALLS = 10_000
"""Calls that are grouped by how they ended; older ones of the week are left out, and the page says so."""

TIMED_CALLS = 1_000
SAMPLES = 600
OK = 200


@dataclass(frozen=True)
class Ending:
    """Calls that ended alike. status: None without a response. example: one of the error messages."""

    status: int | None
    code: int | None
    week: int
    day: int
    example: str


@dataclass(frozen=True)
class Endings:
    """The endings of the week's calls.

    since: of the oldest call that was counted. resent: how often calls of the last day, and of the week, were
    sent again because the upstream said 429 or couldn't be reached.
    """

    since: datetime
    is_cut: bool
    calls_of_week: int
    calls_of_day: int
    resent_of_week: int
    resent_of_day: int
    errors: list[Ending]


def endings(now: datetime) -> Endings:
    """Count the newest calls by status and error code."""
    calls = Attempt.objects.filter(sent_at__gte=now - WEEK)
    oldest = calls.order_by("-sent_at").values_list("sent_at", flat=True)[MAX_CALLS - 1 : MAX_CALLS].first()
    since, today = oldest or now - WEEK, Q(sent_at__gte=now - DAY)
    grouped = calls.filter(sent_at__gte=since).values("status", "error_code")
    rows = grouped.annotate(
        week=Count("pk"),
        day=Count("pk", filter=today),
        resent_week=Sum(F("sends") - 1),
        resent_day=Sum(F("sends") - 1, filter=today, default=0),
        example=Max("error_message"),
    ).order_by("-week", "status", "error_code")
    counts = list(rows)
    errors = [
        Ending(row["status"], row["error_code"], row["week"], row["day"], row["example"])
        for row in counts
        if row["status"] != OK or row["error_code"] is not None
    ]
    return Endings(
        since,
        is_cut=oldest is not None,
        calls_of_week=sum(row["week"] for row in counts),
        calls_of_day=sum(row["day"] for row in counts),
        resent_of_week=sum(row["resent_week"] for row in counts),
        resent_of_day=sum(row["resent_day"] for row in counts),
        errors=errors,
    )


@dataclass(frozen=True)
class Latency:
    """The seconds from sending a call to its response's headers, of so many of the newest calls."""

    calls: int
    p50: float
    p95: float
    p99: float


def latency() -> Latency | None:
    """Return the percentiles of the newest calls that were answered; None if there are none."""
    newest = Attempt.objects.filter(sent_at__isnull=False).order_by("-sent_at")
    times = newest.values_list("sent_at", "answered_at")[:TIMED_CALLS]
    seconds = sorted((came - sent).total_seconds() for sent, came in times if sent and came)
    if not seconds:
        return None
    return Latency(len(seconds), *(percentile(seconds, percent) for percent in (50, 95, 99)))


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the value that so many percent of the values don't exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True)
class DayRate:
    """Charges of a day's sampled calls, in micro-credits per megapixel."""

    day: date
    calls: int
    median: int
    lowest: int
    highest: int


def daily_rates(account: UpstreamAccount, now: datetime) -> list[DayRate]:
    """Sample the account's charged calls of the last 60 days, evenly, and return the days that have any."""
    by_day: dict[date, list[int]] = defaultdict(list)
    for sent_at, charged, width, height, cap in _samples(account, now):
        rate = pricing.rate(charged, processed_pixels(width, height, cap))
        by_day[timezone.localdate(sent_at)].append(rate)
    return [
        DayRate(day, len(rates), int(median(rates)), min(rates), max(rates))
        for day, rates in sorted(by_day.items())
    ]


def _samples(account: UpstreamAccount, now: datetime) -> QuerySet[Attempt, tuple[Any, ...]]:
    """Pick attempts by evenly spaced keys, which an index finds one by one."""
    newest = Attempt.objects.aggregate(pk=Max("pk"))["pk"] or 0
    recent = Attempt.objects.filter(sent_at__gte=now - SAMPLED).order_by("sent_at")
    oldest = recent.values_list("pk", flat=True).first() or newest + 1
    step = max(1, (newest - oldest + 1) // SAMPLES)
    picked = Attempt.objects.filter(
        pk__in=list(range(newest, oldest - 1, -step)[:SAMPLES]),
        account=account,
        state=Attempt.State.BOOKED,
        test=False,
        charged_microcredits__gt=0,
    )
    return picked.values_list("sent_at", "charged_microcredits", *Attempt.PRICED_SIZE)
