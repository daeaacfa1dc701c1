"""Attempts by the time they were sent, and those among them that somebody may want to see one by one."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.verdicts import DOUBTS, Verdict, judged
from jobs.models import Attempt
from jobs.search.date_range import DateRange

COLUMNS = (
    "pk",
    "job_id",
    "number",
    "verdict",
    "status",
    "sent_at",
    "job__estimated_microcredits",
    "held",
    "charged_header",
    "known",
    "booked",
    "reviewed_at",
)
FINE = (Verdict.MATCHED, Verdict.RELEASED)


class Row(NamedTuple):
    """An attempt as it is listed; amounts in micro-credits."""

    pk: int
    job: int
    number: int
    verdict: Verdict
    status: int | None
    sent_at: datetime | None
    estimated: int
    held: int
    header: str | None
    known: int | None
    booked: int
    reviewed_at: datetime | None

    @property
    def name(self) -> str:
        return f"{self.job}/{self.number}"

    def says(self) -> str:
        known = "nobody knows what was charged" if self.known is None else f"{to_credits(self.known)} charged"
        header = "" if self.header is None else f" (X-Credits-Charged: {self.header})"
        status = f", HTTP {self.status}" if self.status else ""
        return (
            f"{self.name} {self.verdict.replace('_', ' ')}{status}: {to_credits(self.estimated)} estimated, "
            f"{to_credits(self.held)} held, {known}{header}, {to_credits(self.booked)} booked"
        )


def sent_within(days: DateRange) -> QuerySet[Attempt]:
    """Return the attempts sent within these days; those that weren't sent, by when they were prepared."""
    return Attempt.objects.annotate(began=Coalesce("sent_at", "prepared_at")).filter(days.of("began"))


def rows(attempts: QuerySet[Attempt], which: Q) -> Iterator[Row]:
    """Those of these verdicts, in the order of their jobs, read in chunks."""
    listed = judged(attempts).filter(which).order_by("job_id", "number").values_list(*COLUMNS)
    for pk, job, number, verdict, *more in listed.iterator():
        yield Row(pk, job, number, Verdict(verdict), *more)


def not_fine(attempts: QuerySet[Attempt]) -> Iterator[Row]:
    """All that is neither matched nor released."""
    return rows(attempts, ~Q(verdict__in=FINE))


def for_a_person(attempts: QuerySet[Attempt]) -> Iterator[Row]:
    """In doubt, told differently by booking and header, or above its hold and not looked at yet."""
    waits = Q(verdict__in=[*DOUBTS, Verdict.MISMATCH])
    return rows(attempts, waits | Q(verdict=Verdict.OVERAGE, reviewed_at=None))
