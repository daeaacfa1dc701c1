"""One verdict per attempt: do the estimate, the hold, the header and the booking tell one story?

``verdict`` and ``books`` read what prefetching ``JobQuerySet.with_books`` has brought and ask the database
nothing themselves; ``judged`` says the same in SQL, for many attempts at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Case, Count, F, FilteredRelation, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import Transfer
from jobs.models import Attempt, Job
from jobs.models.attempt import CONTRADICTED

_DOUBT = Attempt.Doubt
BOOKINGS = (Transfer.Kind.SETTLE, Transfer.Kind.OVERAGE)


class Verdict(models.TextChoices):
    """What a person has to look at comes first: a job's verdict is the first of its attempts'."""

    IN_DOUBT = "in_doubt", _("in doubt")
    NO_HEADER = "no_header", _("no charge header")
    IMPLAUSIBLE = "implausible", _("implausible charge")
    UNBOOKED = "unbooked", _("couldn't be booked")
    MISMATCH = "mismatch", _("mismatch")
    OVERAGE = "overage", _("overage")
    OPEN = "open", _("open")
    MATCHED = "matched", _("matched")
    RELEASED = "released", _("released")


OF_DOUBT: dict[str, Verdict] = {
    _DOUBT.UNANSWERED: Verdict.IN_DOUBT,
    _DOUBT.LATE: Verdict.IN_DOUBT,
    _DOUBT.IMPLAUSIBLE: Verdict.IMPLAUSIBLE,
    _DOUBT.UNBOOKED: Verdict.UNBOOKED,
}
"""The others, and those of before doubts had a name, are told by whether there was an answer."""

DOUBTS = (Verdict.IN_DOUBT, Verdict.NO_HEADER, Verdict.IMPLAUSIBLE, Verdict.UNBOOKED)


@dataclass(frozen=True)
class Books:
    """A job's money in micro-credits, over all its attempts; None where nothing is known yet."""

    estimated: int
    held: int
    charged: int | None
    booked: int | None
    verdict: Verdict


@dataclass(frozen=True)
class Sums:
    """Some attempts' money in micro-credits. charged: as far as it is known."""

    attempts: int
    estimated: int
    held: int
    charged: int
    booked: int


def booked(attempt: Attempt) -> int:
    """What the ledger took for an attempt."""
    return sum(row.amount_microcredits for row in _resolutions(attempt) if row.kind in BOOKINGS)


def held(attempt: Attempt) -> int:
    """What was set aside for it; 0 for a test."""
    return attempt.hold.amount_microcredits if attempt.hold else 0


def verdict(attempt: Attempt) -> Verdict:
    match attempt.state:
        case Attempt.State.IN_DOUBT:
            unexplained = Verdict.IN_DOUBT if attempt.status is None else Verdict.NO_HEADER
            return OF_DOUBT.get(attempt.doubt, unexplained)
        case _ if attempt.is_contradicted:
            return Verdict.MISMATCH
        case Attempt.State.RELEASED:
            return Verdict.MISMATCH if booked(attempt) or _let_go(attempt) else Verdict.RELEASED
        case Attempt.State.BOOKED if attempt.test and attempt.resolved_microcredits is not None:
            return Verdict.MATCHED
        case Attempt.State.BOOKED if booked(attempt) != attempt.known_microcredits:
            return Verdict.MISMATCH
        case Attempt.State.BOOKED:
            above = booked(attempt) > held(attempt)
            return Verdict.OVERAGE if above else Verdict.MATCHED
    return Verdict.OPEN


def books(job: Job) -> Books:
    """Held is the last attempt's hold; charged and booked are sums."""
    attempts = list(job.attempts.all())
    charges = [a.known_microcredits for a in attempts if a.known_microcredits is not None]
    ended = any(a.ended_at for a in attempts)
    verdicts = {verdict(attempt) for attempt in attempts}
    return Books(
        estimated=job.estimated_microcredits,
        held=held(job.last_attempt),
        charged=sum(charges) if charges else None,
        booked=sum(map(booked, attempts)) if ended else None,
        verdict=next(kind for kind in Verdict if kind in verdicts),
    )


def judged(attempts: QuerySet[Attempt]) -> QuerySet[Any]:
    """The attempts with ``known`` and ``booked``, in micro-credits, and ``verdict`` as columns.

    A hold has one CLOSE and one EXCESS at most, so that joining them repeats no row.
    """
    settled = Case(When(close__kind=Transfer.Kind.SETTLE, then="close__amount_microcredits"))
    return attempts.annotate(
        close=ending(Transfer.Resolution.CLOSE),
        excess=ending(Transfer.Resolution.EXCESS),
        known=Coalesce("resolved_microcredits", "charged_microcredits"),
        held=Coalesce("hold__amount_microcredits", 0),
        booked=Coalesce(settled, 0) + Coalesce("excess__amount_microcredits", 0),
    ).annotate(verdict=_VERDICT)


def ending(part: Transfer.Resolution) -> FilteredRelation:
    """One part of an attempt's hold's ending, to join."""
    return FilteredRelation("hold__resolutions", condition=Q(hold__resolutions__resolution=part))


def tally(attempts: QuerySet[Attempt]) -> dict[Verdict, Sums]:
    """Numbers and sums by verdict, in one query; a verdict that no attempt has is left out."""
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


def _let_go(attempt: Attempt) -> bool:
    """Given back without a reason, although a charge was named. (The embedded engine's charge is given
    back with a reason where its call is repeated.)"""
    return bool(attempt.known_microcredits) and not any(row.memo for row in _resolutions(attempt))


def _resolutions(attempt: Attempt) -> Iterable[Transfer]:
    return attempt.hold.resolutions.all() if attempt.hold else ()


_STATE = Attempt.State
_VERDICT = Case(
    *(When(state=_STATE.IN_DOUBT, doubt=doubt, then=Value(kind)) for doubt, kind in OF_DOUBT.items()),
    When(state=_STATE.IN_DOUBT, status=None, then=Value(Verdict.IN_DOUBT)),
    When(state=_STATE.IN_DOUBT, then=Value(Verdict.NO_HEADER)),
    When(CONTRADICTED, then=Value(Verdict.MISMATCH)),
    When(
        Q(state=_STATE.RELEASED) & (~Q(booked=0) | Q(known__gt=0, close__memo="")),
        then=Value(Verdict.MISMATCH),
    ),
    When(state=_STATE.RELEASED, then=Value(Verdict.RELEASED)),
    # A test has no hold: what a person found it to have cost is the operator's, and in no team's ledger.
    When(state=_STATE.BOOKED, test=True, resolved_microcredits__isnull=False, then=Value(Verdict.MATCHED)),
    When(Q(state=_STATE.BOOKED) & (Q(known=None) | ~Q(booked=F("known"))), then=Value(Verdict.MISMATCH)),
    When(state=_STATE.BOOKED, booked__gt=F("hold__amount_microcredits"), then=Value(Verdict.OVERAGE)),
    When(state=_STATE.BOOKED, then=Value(Verdict.MATCHED)),
    default=Value(Verdict.OPEN),
)
