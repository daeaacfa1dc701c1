"""How often a key, or a team, may call: so many calls a minute, in bursts of as many.

Each subject has one row, which says until when its calls so far are *paid off* at its rate (the generic cell
rate algorithm). One conditional UPDATE takes a call, so the bound holds over all processes and hosts.

The rows name nobody: subjects, addresses of guessers among them, are hashed with SECRET_KEY, and ``purge``
removes the rows that bound nothing any more.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache.backends.base import default_key_func
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import CacheEntry, RateLimit

MINUTE = 60_000_000
"""Microseconds."""

MOST_PURGED = 10_000
"""At once. SQLite takes 32,766 parameters in a statement."""


class TooFastError(Exception):
    """A subject has called too often. retry_after: whole seconds, from 1."""

    def __init__(self, subject: str, retry_after: int) -> None:
        super().__init__(f"{subject} for {retry_after} s")
        self.subject = subject
        self.retry_after = retry_after


@dataclass(frozen=True)
class Bound:
    """At most so many calls a minute for a subject; 0 is no bound."""

    subject: str
    per_minute: int

    @property
    def step(self) -> int:
        return MINUTE // self.per_minute

    @property
    def row(self) -> str:
        """The primary key of its row, however long the subject is."""
        return _hashed(self.subject)


def take(bound: Bound) -> None:
    """Count a call; raises TooFastError, and then it isn't counted."""
    if not bound.per_minute:
        return
    now = _now()
    paid_off = Greatest(F("paid_off_at"), now)
    row = RateLimit.objects.filter(subject=bound.row)
    if row.filter(paid_off_at__lte=now + MINUTE - bound.step).update(paid_off_at=paid_off + bound.step):
        return
    _, is_new = RateLimit.objects.get_or_create(subject=bound.row, defaults={"paid_off_at": now + bound.step})
    if not is_new:
        check([bound])
        take(bound)  # made, or paid off, by another call in between


def check(bounds: Iterable[Bound]) -> None:
    """Raises TooFastError where the next call would be one too many; counts nothing."""
    bounds = [bound for bound in bounds if bound.per_minute]
    rows = RateLimit.objects.filter(subject__in=[bound.row for bound in bounds])
    paid_off_at, now = dict(rows.values_list("subject", "paid_off_at")), _now()
    for bound in bounds:
        early = paid_off_at.get(bound.row, 0) - (now + MINUTE - bound.step)
        if early > 0:
            raise TooFastError(bound.subject, -(-early // 1_000_000))


def left(bound: Bound) -> tuple[int, int]:
    """How many calls may follow at once, and when (Unix time) it will be all of them again."""
    row = RateLimit.objects.filter(subject=bound.row).first()
    now = _now()
    paid_off_at = max(now, row.paid_off_at if row else now)
    return max(0, (now + MINUTE - paid_off_at) // bound.step), -(-paid_off_at // 1_000_000)


def purge() -> int:
    """Delete the rows that bound nothing any more, and what the cache has forgotten; return how many."""
    paid_off = RateLimit.objects.filter(paid_off_at__lt=_now())
    forgotten = CacheEntry.objects.filter(expires__lt=timezone.now())
    return _delete_unlocked(paid_off) + _delete_unlocked(forgotten)


@transaction.atomic
def _delete_unlocked(rows: QuerySet[Any]) -> int:
    # A call locks its key's row, then its team's. To wait for one of them while holding the other could
    # deadlock, so rows in use are left for the next time.
    unlocked = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:MOST_PURGED])
    return rows.filter(pk__in=unlocked).delete()[0]


def cache_key(key: str, key_prefix: str, version: int) -> str:
    """Django's ``KEY_FUNCTION``: allauth's keys name the addresses of those who log in."""
    return _hashed(default_key_func(key, key_prefix, version))


def _hashed(text: str) -> str:
    return salted_hmac("accounts.rate_limits", text, algorithm="sha256").hexdigest()


def _now() -> int:
    """Of the wall clock, which the processes of several hosts share; in microseconds since 1970."""
    return time.time_ns() // 1000
