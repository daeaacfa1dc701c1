"""The attempts as a log of charges is compared with them (``jobs.witness``)."""

from collections.abc import Iterator
from pathlib import Path

from jobs import witness
from jobs.audit.reconcile.calls import State, ended
from jobs.audit.reconcile.verdicts import judged
from jobs.models import Attempt
from jobs.search.date_range import DateRange
from jobs.witness import Booking, Finding

COLUMNS = (
    "job_id",
    "number",
    "job__source_sha256",
    "state",
    "sent_at",
    "answered_at",
    "status",
    "charged_microcredits",
    "booked",
)


def compare(log: Path, span: DateRange) -> list[Finding]:
    """The log at this path against all attempts; of what is found, what falls into the span.

    Raises OSError and ``witness.UnreadableLogError``.
    """
    begin, end = span.begin, span.end
    with log.open(encoding="utf-8") as lines:
        found = witness.compare(bookings(), witness.read(lines))
    return [
        finding
        for finding in found
        if (begin is None or finding.at >= begin.timestamp())
        and (end is None or finding.at < end.timestamp())
    ]


def bookings() -> Iterator[Booking]:
    """All that left the house."""
    rows = judged(Attempt.objects.filter(sent_at__isnull=False)).values_list(*COLUMNS)
    for job, number, sha256, state, sent, answered, status, charged, booked in rows.iterator():
        known = {State.SENT: None, State.IN_DOUBT: None, State.ANSWERED: charged}.get(state, booked)
        yield Booking(
            f"{job}/{number}",
            sha256,
            sent.timestamp(),
            ended(sent, answered, status).timestamp(),
            known,
            in_doubt=state == State.IN_DOUBT,
        )
