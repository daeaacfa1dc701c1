"""What each call may have cost, and when.

A charge happens after the call has left the house, and before its answer's headers are here, since they name
it. Where no answer was recorded, it happened within ``longest()`` or not at all.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import QuerySet

from jobs.models import Attempt

State = Attempt.State

SERVER_FAILED = 500
SLACK_SECONDS = 300
"""What an unanswered call takes beyond the idle time-out: its upload, during which nothing is idle, and the
work of an upstream that doesn't notice at once that nobody waits any more."""

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
)


class Call(NamedTuple):
    """An attempt that left the house. known: micro-credits, None where nobody knows yet."""

    pk: int
    name: str
    state: str
    status: int | None
    began: datetime
    ended: datetime
    held: int
    known: int | None
    decided: bool

    @property
    def in_doubt(self) -> bool:
        """It may have been charged, and nothing says what."""
        return self.known is None and self.state != State.RELEASED

    @property
    def failed(self) -> bool:
        """Answered by 5xx, and given back since that is probably not charged."""
        return self.state == State.RELEASED and self.known is None and (self.status or 0) >= SERVER_FAILED


def longest() -> timedelta:
    """After which an unanswered call isn't charged any more."""
    return timedelta(seconds=settings.PIXIAN_TIMEOUT + SLACK_SECONDS)


def ended(sent_at: datetime, answered_at: datetime | None, status: int | None) -> datetime:
    """The end of the time in which a charge may have happened.

    A server error may come from something between, while the upstream goes on.
    """
    if answered_at is None:
        return sent_at + longest()
    if (status or 0) >= SERVER_FAILED:
        return max(answered_at, sent_at + longest())
    return answered_at


def calls(attempts: QuerySet[Attempt]) -> Iterator[Call]:
    """In the order in which they were sent, read in chunks."""
    rows = attempts.filter(sent_at__isnull=False).order_by("sent_at").values_list(*COLUMNS)
    for pk, job, number, state, status, sent, answered, held, charged, resolved in rows.iterator():
        known = charged if resolved is None else resolved
        end = ended(sent, answered, status)
        yield Call(pk, f"{job}/{number}", state, status, sent, end, held or 0, known, resolved is not None)
