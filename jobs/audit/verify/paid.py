"""Check invariants 7 and 8: what the upstream charged, and the prices learned from it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.current_book import with_balances
from jobs.audit.reconcile.rows import rows
from jobs.calls import pricing
from jobs.models import Attempt, Price
from jobs.models.verdicts import Verdict
from pixian.protocol.credits import MAX_MICROCREDITS
from pixian.protocol.limits import processed_pixels

State = Attempt.State

LATELY = timedelta(days=2)
LATEST = Price.FADES_AFTER // 2
"""Fewer than a price falls after: charges booked simultaneously may have been learned in another order."""

UNDER_WAY = timedelta(minutes=1)
"""A charge that was being booked while an operator reset the price may count as before or after."""


def charges_are_settled() -> Iterator[str]:
    """Check 7, by the headers and then by the balances.

    Invariant 4 checks that bookings equal their headers. This one checks that nothing else was charged, and
    that no balance fell by less than is settled, or by more than is settled and held in doubt.
    """
    released = Attempt.objects.filter(state=State.RELEASED)
    for row in rows(released, Q(verdict=Verdict.MISMATCH, booked=0)):
        yield f"Attempt {row.name} was given back, and its header names {to_credits(row.known or 0)}."
    for account in with_balances():
        for period in balances(account=account).judged:
            if not period.is_possible:
                yield f"The balance from {period.title}: {period.says()}"


def prices_are_learned() -> Iterator[str]:
    """Check 8 for prices: none is above its band's highest charge, nor below what the latest charges taught.

    Charges are those per megapixel since the price was last reset. Between the two bounds a price depends on
    their order: it rises by bounded steps, and falls after a row of lower charges.

    Attempts don't record which account they were sent to. If there were several, each price must have its
    attempt, and each attempt some price that is as high.
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
    """Return the attempts booked by their headers; neither decisions by a person nor tests teach a price."""
    return Attempt.objects.filter(
        state=State.BOOKED, test=False, resolved_microcredits=None, charged_microcredits__isnull=False
    )


def _highest_rates(since: datetime | None) -> dict[int, int]:
    """Return the highest charge per megapixel in each band, in micro-credits."""
    attempts = _that_taught().filter(ended_at__gte=since) if since else _that_taught()
    sizes = attempts.order_by().values_list(*Attempt.PRICED_SIZE)
    highest: defaultdict[int, int] = defaultdict(int)
    for *size, charged in sizes.annotate(Max("charged_microcredits")):
        pixels = processed_pixels(*size)
        band = pricing.band(pixels)
        highest[band] = max(highest[band], pricing.rate(charged, pixels))
    return highest


def _taught_lately() -> dict[int, list[tuple[datetime, int]]]:
    """Return when the latest attempts of each band ended, and the rates that they taught."""
    recent = _that_taught().filter(ended_at__gte=timezone.now() - LATELY).order_by("-ended_at")
    rows = recent.values_list(
        "ended_at", "charged_microcredits", "hold__amount_microcredits", *Attempt.PRICED_SIZE
    )
    by_band: defaultdict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for ended, charged, held, *size in rows.iterator():
        pixels = processed_pixels(*size)
        latest = by_band[pricing.band(pixels)]
        if ended and len(latest) < LATEST:
            rate = pricing.rate(pricing.taught(charged or 0, held or 0), pixels)
            latest.append((ended, min(rate, MAX_MICROCREDITS)))
    return by_band
