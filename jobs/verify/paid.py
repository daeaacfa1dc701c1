"""Invariants 7 and 8: what the upstream charged, and what was learned from it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from django.db.models import Max, Q
from django.db.models.functions import Coalesce

from accounts.money import to_credits
from jobs import price
from jobs.models import Attempt, Price
from jobs.reconcile.account import balances
from jobs.reconcile.rows import rows
from jobs.reconcile.verdicts import Verdict

State = Attempt.State

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
    """Of 8: a price is the highest charge per megapixel of its band's attempts, since it was last forgotten.

    Attempts don't say which upstream they were sent to. So where there were several, each price must have
    its attempt, and each attempt some price that is as high.
    """
    rates = cache(_rates)
    for row in Price.objects.order_by("pk"):
        charged = rates(row.since and row.since - UNDER_WAY).get(row.band, 0)
        if row.microcredits_per_megapixel > charged:
            yield _differ(row.band, row.microcredits_per_megapixel, charged)
    for band in rates(None):
        learned = Price.objects.filter(band=band).aggregate(
            highest=Coalesce(Max("microcredits_per_megapixel"), 0), since=Max("since")
        )
        charged = rates(learned["since"] and learned["since"] + UNDER_WAY).get(band, 0)
        if learned["highest"] < charged:
            yield _differ(band, learned["highest"], charged)


def _differ(band: int, learned: int, charged: int) -> str:
    return (
        f"The highest price of band {band} was learned as {to_credits(learned)} a megapixel, and charged "
        f"as {to_credits(charged)}."
    )


def _rates(since: datetime | None) -> dict[int, int]:
    """The highest charge per megapixel in each band, in micro-credits."""
    attempts = Attempt.objects.filter(state=State.BOOKED, resolved_microcredits=None)
    if since:
        attempts = attempts.filter(ended_at__gte=since)
    sizes = attempts.order_by().values_list("job__width", "job__height")
    found: defaultdict[int, int] = defaultdict(int)
    for width, height, charged in sizes.annotate(Max("charged_microcredits")):
        pixels = width * height
        if charged is not None:
            found[price.band(pixels)] = max(found[price.band(pixels)], price.rate(charged, pixels))
    return found
