"""One verdict per attempt: do the estimate, the hold, the header and the booking tell one story?

Reads what prefetching ``JobQuerySet.with_books`` has brought, and asks the database nothing itself.
"""

from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Transfer
from jobs.models import Attempt, Job

BOOKINGS = (Transfer.Kind.SETTLE, Transfer.Kind.OVERAGE)


class Verdict(models.TextChoices):
    """What a person has to look at comes first: a job's verdict is the first of its attempts'."""

    IN_DOUBT = "in_doubt", _("in doubt")
    NO_HEADER = "no_header", _("no charge header")
    MISMATCH = "mismatch", _("mismatch")
    OVERAGE = "overage", _("overage")
    OPEN = "open", _("open")
    MATCHED = "matched", _("matched")
    RELEASED = "released", _("released")


@dataclass(frozen=True)
class Books:
    """A job's money in micro-credits, over all its attempts; None where nothing is known yet."""

    estimated: int
    held: int
    charged: int | None
    booked: int | None
    verdict: Verdict


def booked(attempt: Attempt) -> int:
    """What the ledger took for an attempt."""
    resolutions = attempt.hold.resolutions.all()
    return sum(row.amount_microcredits for row in resolutions if row.kind in BOOKINGS)


def verdict(attempt: Attempt) -> Verdict:
    match attempt.state:
        case Attempt.State.IN_DOUBT:
            return Verdict.IN_DOUBT if attempt.status is None else Verdict.NO_HEADER
        case Attempt.State.RELEASED:
            return Verdict.RELEASED if not booked(attempt) else Verdict.MISMATCH
        case Attempt.State.BOOKED if booked(attempt) != attempt.charged_microcredits:
            return Verdict.MISMATCH
        case Attempt.State.BOOKED:
            above = booked(attempt) > attempt.hold.amount_microcredits
            return Verdict.OVERAGE if above else Verdict.MATCHED
    return Verdict.OPEN


def books(job: Job) -> Books:
    """Held is the last attempt's hold; charged and booked are sums."""
    attempts = list(job.attempts.all())
    charges = [a.charged_microcredits for a in attempts if a.charged_microcredits is not None]
    ended = any(a.ended_at for a in attempts)
    verdicts = {verdict(attempt) for attempt in attempts}
    return Books(
        estimated=job.estimated_microcredits,
        held=job.last_attempt.hold.amount_microcredits,
        charged=sum(charges) if charges else None,
        booked=sum(map(booked, attempts)) if ended else None,
        verdict=next(kind for kind in Verdict if kind in verdicts),
    )
