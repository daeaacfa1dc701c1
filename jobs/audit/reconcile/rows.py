"""Select attempts by the time they were sent, and list those worth seeing one by one."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q
from django.db.models.functions import Coalesce

from accounts.ledger.money import to_credits
from jobs.models import Attempt
from jobs.models.attempt import AttemptQuerySet
from jobs.models.verdicts import DOUBTS, Verdict
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
    """An attempt in a report; amounts in micro-credits."""

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
        known = "charge unknown" if self.known is None else f"{to_credits(self.known)} charged"
        header = "" if self.header is None else f" (X-Credits-Charged: {self.header})"
        status = f", HTTP {self.status}" if self.status else ""
        return (
            f"{self.name} {self.verdict.replace('_', ' ')}{status}: {to_credits(self.estimated)} estimated, "
            f"{to_credits(self.held)} held, {known}{header}, {to_credits(self.booked)} booked"
        )


def sent_within(days: DateRange) -> AttemptQuerySet:
    """Return the attempts sent within these days; one that wasn't sent counts by when it was prepared."""
    return Attempt.objects.annotate(began=Coalesce("sent_at", "prepared_at")).filter(days.contains("began"))


def rows(attempts: AttemptQuerySet, which: Q) -> Iterator[Row]:
    """Yield the attempts that match, in the order of their jobs; they are read in chunks."""
    listed = attempts.with_verdict().filter(which).order_by("job_id", "number").values_list(*COLUMNS)
    for pk, job, number, verdict, *more in listed.iterator():
        yield Row(pk, job, number, Verdict(verdict), *more)


def not_fine(attempts: AttemptQuerySet) -> Iterator[Row]:
    """Yield all attempts that are neither matched nor released."""
    return rows(attempts, ~Q(verdict__in=FINE))


def for_a_person(attempts: AttemptQuerySet) -> Iterator[Row]:
    """Yield attempts in doubt, those whose booking and header differ, and overages not reviewed yet."""
    waits = Q(verdict__in=[*DOUBTS, Verdict.MISMATCH])
    return rows(attempts, waits | Q(verdict=Verdict.OVERAGE, reviewed_at=None))
