"""Invariants 7 and 8: what the upstream charged, and what was learned from it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.rows import rows
from jobs.calls import pricing
from jobs.models import Attempt, Price
from jobs.models.verdicts import Verdict
from pixian.protocol.credits import MAX_MICROCREDITS

State = Attempt.State

LATELY = timedelta(days=2)
LATEST = Price.FADES_AFTER // 2
"""Not all that a price falls after: those that were booked at once may have been learned in another order."""

UNDER_WAY = timedelta(minutes=1)
"""What was being booked while somebody said to forget may count as before or after."""


def charges_are_settled() -> Iterator[str]:
    """7. By the headers, then by the balances.

    That a booking is what its header named is invariant 4's. Here it is that nothing else was charged, and
    that no balance lost less than is settled, or more than is settled and held in doubt.
    """
    released = Attempt.objects.filter(state=State.RELEASED)
    for row in rows(released, Q(verdict=Verdict.MISMATCH, booked=0)):
        yield f"Attempt {row.name} was given back, and its header names {to_credits(row.known or 0)}."
    for period in balances().periods:
        if not period.is_possible:
            yield f"The balance from {period.title}: {period.says()}"


def prices_are_learned() -> Iterator[str]:
    """Of 8: a price is no higher than any charge per megapixel of its band since it was last forgotten, and
    no lower than what the latest of them taught. (Between the two it depends on their order: it rises by
    bounded steps, and falls after a row of lower charges.)

    Attempts don't say which account they were sent to. So where there were several, each price must have
    its attempt, and each attempt some price that is as high.
    """
    rates = cache(_highest_rates)
    for row in Price.objects.order_by("pk"):
        charged = rates(row.since and row.since - UNDER_WAY).get(row.band, 0)
        if row.microcredits_per_megapixel > charged:
            yield _differ(row.band, row.microcredits_per_megapixel, charged)
    for band, latest in _taught_lately().items():
        learned = Price.objects.filter(band=band).aggregate(
            highest=Coalesce(Max("microcredits_per_megapixel"), 0), since=Max("since")
        )
        begin = learned["since"] and learned["since"] + UNDER_WAY
        taught = max((rate for ended, rate in latest if not begin or ended >= begin), default=0)
        if learned["highest"] < taught:
            yield _differ(band, learned["highest"], taught)


def _differ(band: int, learned: int, charged: int) -> str:
    return (
        f"The highest price of band {band} was learned as {to_credits(learned)} a megapixel, and charged "
        f"as {to_credits(charged)}."
    )


def _that_taught() -> QuerySet[Attempt]:
    """Booked by their headers. What a person decided teaches nothing, nor does a test."""
    return Attempt.objects.filter(
        state=State.BOOKED, test=False, resolved_microcredits=None, charged_microcredits__isnull=False
    )


def _highest_rates(since: datetime | None) -> dict[int, int]:
    """The highest charge per megapixel in each band, in micro-credits."""
    attempts = _that_taught().filter(ended_at__gte=since) if since else _that_taught()
    sizes = attempts.order_by().values_list("job__width", "job__height")
    found: defaultdict[int, int] = defaultdict(int)
    for width, height, charged in sizes.annotate(Max("charged_microcredits")):
        pixels = width * height
        found[pricing.band(pixels)] = max(found[pricing.band(pixels)], pricing.rate(charged, pixels))
    return found


def _taught_lately() -> dict[int, list[tuple[datetime, int]]]:
    """When the latest attempts of each band ended, and the rates that they taught."""
    lately = _that_taught().filter(ended_at__gte=timezone.now() - LATELY).order_by("-ended_at")
    rows = lately.values_list(
        "ended_at", "job__width", "job__height", "charged_microcredits", "hold__amount_microcredits"
    )
    found: defaultdict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for ended, width, height, charged, held in rows.iterator():
        latest = found[pricing.band(width * height)]
        if ended and len(latest) < LATEST:
            rate = pricing.rate(pricing.taught(charged or 0, held or 0), width * height)
            latest.append((ended, min(rate, MAX_MICROCREDITS)))
    return found
