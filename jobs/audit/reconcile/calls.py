"""Determine what each call may have cost, and when.

A charge happens after the call was sent and before its response's headers arrive, because they state it. If
no response was recorded, the charge happened within ``longest()`` or not at all.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from jobs.models import Attempt
from jobs.models.attempt import AttemptQuerySet
from jobs.models.balance_period import LONGEST_CALL

State = Attempt.State

SERVER_FAILED = 500
SLACK_SECONDS = 300
"""The time an unanswered call may take beyond the idle timeout.

Nothing is idle during its upload, and an upstream may not notice at once that the client has gone.
"""

COLUMNS = (
    "pk",
    "job_id",
    "number",
    "state",
    "status",
    "sent_at",
    "answered_at",
    "hold__amount_microcredits",
    "charged_microcredits",
    "resolved_microcredits",
    "booked",
)
UNDER_WAY = (State.SENT, State.ANSWERED)


class Call(NamedTuple):
    """An attempt that was sent. ``known`` is its charge in micro-credits, None while unknown.

    ``booked``: what its team's ledger took, in micro-credits.
    """

    pk: int
    name: str
    state: str
    status: int | None
    began: datetime
    ended: datetime
    held: int
    known: int | None
    decided: bool
    booked: int = 0

    @property
    def in_doubt(self) -> bool:
        """Return True if it may have been charged, and how much isn't known."""
        return self.known is None and self.state != State.RELEASED

    @property
    def is_under_way(self) -> bool:
        """Return True if a worker will still change it by itself."""
        return self.state in UNDER_WAY

    @property
    def failed(self) -> bool:
        """Return True if the response was a 5xx and the hold was released, as probably not charged."""
        return self.state == State.RELEASED and self.known is None and (self.status or 0) >= SERVER_FAILED


def longest() -> timedelta:
    """Return the time after which an unanswered call can no longer be charged."""
    return timedelta(seconds=settings.PIXIAN_TIMEOUT + SLACK_SECONDS)


def ended(sent_at: datetime, answered_at: datetime | None, status: int | None) -> datetime:
    """Return the end of the time in which a charge may have happened.

    A server error may come from a proxy in between, while the upstream goes on working.
    """
    if answered_at is None:
        return sent_at + longest()
    if (status or 0) >= SERVER_FAILED:
        answered_at = max(answered_at, sent_at + longest())
    return min(answered_at, sent_at + LONGEST_CALL)


def calls(attempts: AttemptQuerySet) -> Iterator[Call]:
    """Yield the calls in the order they were sent; they are read in chunks."""
    rows = (
        attempts.filter(sent_at__isnull=False).with_verdict().order_by("sent_at", "pk").values_list(*COLUMNS)
    )
    for pk, job, number, state, status, sent_at, answered, held, charged, resolved, booked in rows.iterator():
        known = charged if resolved is None else resolved
        end = ended(sent_at, answered, status)
        yield Call(
            pk, f"{job}/{number}", state, status, sent_at, end, held or 0, known, resolved is not None, booked
        )
