"""Add up estimates, holds, charges and bookings, for one job or for many attempts."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce

from jobs.models import Attempt, Job
from jobs.models.attempt import AttemptQuerySet
from jobs.models.verdicts import Verdict


@dataclass(frozen=True)
class Books:
    """A job's money in micro-credits, over all its attempts; None while nothing is known."""

    estimated: int
    held: int
    charged: int | None
    booked: int | None
    verdict: Verdict


@dataclass(frozen=True)
class Sums:
    """The money of several attempts, in micro-credits. ``charged`` sums what is known."""

    attempts: int
    estimated: int
    held: int
    charged: int
    booked: int


def booked(attempt: Attempt) -> int:
    """Return what the ledger took for an attempt that was read ``with_verdict``."""
    return attempt.booked


def held(attempt: Attempt) -> int:
    """Return the hold of an attempt that was read ``with_verdict``; a test has none."""
    return attempt.held


def verdict(attempt: Attempt) -> Verdict:
    """Return the verdict on an attempt that was read ``with_verdict``."""
    return Verdict(attempt.verdict)


def books(job: Job) -> Books:
    """Return the money of a job that was read ``with_books``.

    ``held`` is the last attempt's hold; ``charged`` and ``booked`` are sums. A job without an attempt, since
    it waits for credits or shows an earlier job's result, costs nothing.
    """
    attempts = list(job.attempts.all())
    if not attempts:
        return _without_attempt(job)
    charges = [a.known_microcredits for a in attempts if a.known_microcredits is not None]
    verdicts = {verdict(attempt) for attempt in attempts}
    return Books(
        estimated=job.estimated_microcredits,
        held=held(job.last_attempt),
        charged=sum(charges) if charges else None,
        booked=sum(map(booked, attempts)) if any(a.ended_at for a in attempts) else None,
        verdict=next(kind for kind in Verdict if kind in verdicts),
    )


def _without_attempt(job: Job) -> Books:
    cost = 0 if job.is_finished else None
    verdict = Verdict.MATCHED if job.reused_from_id else Verdict.RELEASED if job.is_finished else Verdict.OPEN
    return Books(estimated=job.estimated_microcredits, held=0, charged=cost, booked=cost, verdict=verdict)


def tally(attempts: AttemptQuerySet) -> dict[Verdict, Sums]:
    """Count and sum the attempts by verdict, in one query; verdicts that none has are left out."""
    rows = (
        judged(attempts.order_by())
        .values("verdict")
        .annotate(
            attempts=Count("pk"),
            estimated=Sum("job__estimated_microcredits"),
            holds=Sum("held"),
            charged=Sum(Coalesce("known", 0)),
            taken=Sum("booked"),
        )
        .values_list("verdict", "attempts", "estimated", "holds", "charged", "taken")
    )
    sums = {Verdict(kind): Sums(*figures) for kind, *figures in rows}
    return {kind: sums[kind] for kind in Verdict if kind in sums}


def judged(attempts: AttemptQuerySet) -> QuerySet[Any]:
    """Return the attempts ``with_verdict``, for queries by the columns that this adds."""
    return attempts.with_verdict()
