"""How often a key, or a team, may call: so many calls a minute, in bursts of as many.

Each subject has one row, which says until when its calls so far are *paid off* at its rate (the generic cell
rate algorithm). One conditional UPDATE takes a call, so the bound holds over all processes and hosts.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F
from django.db.models.functions import Greatest

from accounts.models import Rate

MINUTE = 60_000_000
"""Microseconds."""


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


def take(bound: Bound) -> None:
    """Count a call; raises TooFastError, and then it isn't counted."""
    if not bound.per_minute:
        return
    now = _now()
    paid_off = Greatest(F("paid_off_at"), now)
    row = Rate.objects.filter(subject=bound.subject)
    if row.filter(paid_off_at__lte=now + MINUTE - bound.step).update(paid_off_at=paid_off + bound.step):
        return
    _, is_new = Rate.objects.get_or_create(subject=bound.subject, defaults={"paid_off_at": now + bound.step})
    if not is_new:
        check([bound])
        take(bound)  # made, or paid off, by another call in between


def check(bounds: Iterable[Bound]) -> None:
    """Raises TooFastError where the next call would be one too many; counts nothing."""
    bounds = [bound for bound in bounds if bound.per_minute]
    rows = Rate.objects.filter(subject__in=[bound.subject for bound in bounds])
    paid_off_at, now = dict(rows.values_list("subject", "paid_off_at")), _now()
    for bound in bounds:
        early = paid_off_at.get(bound.subject, 0) - (now + MINUTE - bound.step)
        if early > 0:
            raise TooFastError(bound.subject, -(-early // 1_000_000))


def left(bound: Bound) -> tuple[int, int]:
    """How many calls may follow at once, and when (Unix time) it will be all of them again."""
    row = Rate.objects.filter(subject=bound.subject).first()
    now = _now()
    paid_off_at = max(now, row.paid_off_at if row else now)
    return max(0, (now + MINUTE - paid_off_at) // bound.step), -(-paid_off_at // 1_000_000)


def _now() -> int:
    """Of the wall clock, which the processes of several hosts share; in microseconds since 1970."""
    return time.time_ns() // 1000
