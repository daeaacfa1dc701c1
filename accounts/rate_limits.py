"""Limit how often a key, a team or an address may call: so many calls a minute, in bursts of as many.

Each subject has one row, which says when its calls so far will be *paid off* at its rate (the generic cell
rate algorithm). One conditional statement takes a call, so the limit holds over all processes and hosts.

The rows name nobody: subjects, among them the addresses of guessers, are hashed with SECRET_KEY, and
``purge`` removes the rows that no longer limit anything.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache.backends.base import default_key_func
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import CacheEntry, RateLimit

MINUTE = 60_000_000  # microseconds
MOST_PURGED = 10_000  # at once; SQLite takes 32,766 parameters in a statement

# Each row comes with ``now + step``. If the subject has a row, what it has yet to pay off is added, unless
# the sum would be later than ``now + MINUTE``. RETURNING names the rows in which the call was counted.
TAKE = """
INSERT INTO accounts_ratelimit (subject, paid_off_at) VALUES {rows}
ON CONFLICT (subject) DO UPDATE SET paid_off_at = excluded.paid_off_at
    + CASE WHEN accounts_ratelimit.paid_off_at > %s THEN accounts_ratelimit.paid_off_at - %s ELSE 0 END
WHERE accounts_ratelimit.paid_off_at - %s + excluded.paid_off_at <= %s
RETURNING subject
"""


class TooFastError(Exception):
    """A subject has called too often.

    retry_after: whole seconds, at least 1.
    """

    def __init__(self, subject: str, retry_after: int) -> None:
        super().__init__(f"{subject} for {retry_after} s")
        self.subject = subject
        self.retry_after = retry_after


@dataclass(frozen=True)
class Bound:
    """At most so many calls a minute for a subject; 0 means no limit."""

    subject: str
    per_minute: int

    @property
    def step(self) -> int:
        return MINUTE // self.per_minute

    @property
    def row(self) -> str:
        """Return the primary key of the subject's row, which has the same length for any subject."""
        return _hashed(self.subject)


def take(*bounds: Bound) -> None:
    """Count a call for every bound; if one refuses, count it for none and raise TooFastError.

    The rows are locked in the order of the bounds: give them in the same order everywhere.
    """
    limiting = [bound for bound in bounds if bound.per_minute]
    while limiting and not _take(limiting):
        check(limiting)  # raises, unless enough was paid off in between


def _take(bounds: list[Bound]) -> bool:
    now = _now()
    values = [value for bound in bounds for value in (bound.row, now + bound.step)]
    statement = TAKE.format(rows=", ".join(["(%s, %s)"] * len(bounds)))
    # Rather than by a savepoint, which every call would pay for, a refused call is undone by hand: the rows
    # stay locked until the transaction ends, so nobody sees it counted.
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(statement, [*values, now, now, now, now + MINUTE])
            taken = {subject for (subject,) in cursor.fetchall()}
        if len(taken) == len(bounds):
            return True
        for bound in bounds:
            if bound.row in taken:
                row = RateLimit.objects.filter(subject=bound.row)
                row.update(paid_off_at=F("paid_off_at") - bound.step)
        return False


def check(bounds: Iterable[Bound]) -> None:
    """Raise TooFastError if the next call would be one too many; count nothing."""
    limiting = [bound for bound in bounds if bound.per_minute]
    rows = RateLimit.objects.filter(subject__in=[bound.row for bound in limiting])
    paid_off_at, now = dict(rows.values_list("subject", "paid_off_at")), _now()
    for bound in limiting:
        early = paid_off_at.get(bound.row, 0) - (now + MINUTE - bound.step)
        if early > 0:
            raise TooFastError(bound.subject, -(-early // 1_000_000))


def remaining(bound: Bound) -> tuple[int, int]:
    """Return how many calls may follow at once, and when (Unix time) the full burst is allowed again."""
    row = RateLimit.objects.filter(subject=bound.row).first()
    now = _now()
    paid_off_at = max(now, row.paid_off_at if row else now)
    return max(0, (now + MINUTE - paid_off_at) // bound.step), -(-paid_off_at // 1_000_000)


def purge() -> int:
    """Delete the rows that no longer limit anything, and expired cache entries; return how many."""
    paid_off = RateLimit.objects.filter(paid_off_at__lt=_now())
    forgotten = CacheEntry.objects.filter(expires__lt=timezone.now())
    return _delete_unlocked(paid_off) + _delete_unlocked(forgotten)


@transaction.atomic
def _delete_unlocked(rows: QuerySet[Any]) -> int:
    # A call locks its key's row, then its team's. To wait for one of them while holding the other could
    # deadlock, so rows in use are left for the next purge.
    unlocked = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:MOST_PURGED])
    return rows.filter(pk__in=unlocked).delete()[0]


def cache_key(key: str, key_prefix: str, version: int) -> str:
    """Return a cache key that names nobody, as Django's ``KEY_FUNCTION``: allauth's hold users' addresses."""
    return _hashed(default_key_func(key, key_prefix, version))


def _hashed(text: str) -> str:
    return salted_hmac("accounts.rate_limits", text, algorithm="sha256").hexdigest()


def _now() -> int:
    """Return microseconds since 1970, by the wall clock, which the processes of several hosts share."""
    return time.time_ns() // 1000
