"""Keep for a moment what the upstream was seen to charge: each hold rests on it, and each charge is compared.

A price that another process has learned counts here up to a second later. Until then a call holds as little
as those that were under way when it was learned, and what it costs above that is an overage like theirs.
"""

import time
from collections.abc import Mapping

from django.db import transaction

from jobs.calls.accounts import Named
from jobs.models import Price

KEPT_SECONDS = 1.0

_kept: dict[Named, tuple[Mapping[int, int], float]] = {}


def read(account: Named) -> Mapping[int, int]:
    """Return the account's highest charge per megapixel of each band that has any, in micro-credits."""
    return dict(Price.objects.of(*account).values_list("band", "microcredits_per_megapixel"))


def kept(account: Named) -> Mapping[int, int]:
    """Return what ``read`` does, up to a second old. Not for a transaction that has learned a price."""
    prices, until = _kept.get(account, ({}, 0.0))
    now = time.monotonic()
    if now >= until:
        prices = read(account)
        _kept[account] = prices, now + KEPT_SECONDS
    return prices


def learn(account: Named, band: int, rate: int, floor: int) -> None:
    """Let a charge's rate change the band's price (``Price.hear``).

    floor: what is held anyway. Up to it a price never falls, so a lower charge changes nothing, whatever
    others have learned since the prices were read.
    """
    if rate <= kept(account).get(band, -1) <= floor:
        return
    Price.objects.learn(*account, band, rate, floor)
    transaction.on_commit(_kept.clear)
