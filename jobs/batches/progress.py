"""Count how far a batch has come, and what it has cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from json import dumps
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ledger.operations import Balances, balances
from accounts.models import Transfer
from jobs.batches import pace
from jobs.models import Attempt, Batch, BatchFile, Job, Rendition

State = Job.State
ENDED = (Attempt.State.BOOKED, Attempt.State.RELEASED)

WAITING = (State.QUEUED, State.KEPT, State.PAUSED)
PROBLEMS = (State.FAILED, State.IN_DOUBT)


@dataclass(frozen=True)
class Money:
    """The batch's part of the team's credits, in micro-credits.

    needed: what the pictures that wait for credits may cost. rest: what all that isn't done may still cost.
    """

    team: Balances
    spent: int
    held: int
    needed: int

    @property
    def rest(self) -> int:
        return self.held + self.needed

    @property
    def lacking(self) -> int:
        """Return what has to be granted before all of them can start."""
        return max(0, self.needed + self.team.owed - self.team.available)


@dataclass(frozen=True)
class Progress:
    """A batch at one moment.

    states: jobs by state. estimates: what they may cost at most, in micro-credits. missing: files that aren't
    here yet; fetching: those of them that the server fetches.
    """

    batch: Batch
    money: Money
    states: Counter[str]
    estimates: Counter[str]
    approved: int
    rejected: int
    missing: int
    fetching: int
    refused: int
    renditions: Counter[str]
    pace: float | None

    @property
    def total(self) -> int:
        return sum(self.states.values()) + self.missing + self.refused

    @property
    def done(self) -> int:
        return self.states[State.DONE]

    @property
    def waiting(self) -> int:
        """Count those that wait for a worker, for credits, for a person or for their upload."""
        return sum(self.states[state] for state in WAITING) + self.missing

    @property
    def problems(self) -> int:
        return sum(self.states[state] for state in PROBLEMS) + self.refused

    @property
    def time_left(self) -> str | None:
        """Return how long the calls that can be made will take; those that lack credits don't count."""
        moving = self.states[State.QUEUED] + self.states[State.RUNNING]
        return None if self.batch.paused_at else pace.time_left(moving, self.pace)

    @property
    def outputs(self) -> str:
        """Return a digest of what each picture becomes."""
        text = dumps(self.batch.outputs, sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()


def progress(batch: Batch) -> Progress:
    """Return how far the batch has come by now."""
    by_state = list(
        batch.jobs.order_by()
        .values_list("state")
        .annotate(
            count=Count("pk"),
            estimate=Sum("estimated_microcredits"),
            approved=Count("pk", filter=Q(proof=Job.Proof.APPROVED)),
            rejected=Count("pk", filter=Q(proof=Job.Proof.REJECTED)),
        )
    )
    states = Counter({state: count for state, count, *_ in by_state})
    estimates = Counter({state: sum_ for state, _, sum_, *_ in by_state})
    moving = states[State.QUEUED] + states[State.RUNNING]
    return Progress(
        batch=batch,
        money=_money(batch, estimates[State.KEPT]),
        states=states,
        estimates=estimates,
        approved=sum(row[3] for row in by_state),
        rejected=sum(row[4] for row in by_state),
        pace=pace.per_second(pace.endings(batch.pk), timezone.now()) if moving else None,
        renditions=_renditions(batch),
        **_files(batch),
    )


def _money(batch: Batch, needed: int) -> Money:
    attempts = Attempt.objects.filter(job__batch=batch)
    held = attempts.exclude(state__in=ENDED).aggregate(sum=_sum("hold__amount_microcredits"))["sum"]
    booked = Transfer.objects.filter(kind__in=Transfer.BOOKINGS, hold__attempt__job__batch=batch)
    spent = booked.aggregate(sum=_sum("amount_microcredits"))["sum"]
    return Money(balances(batch.team), spent, held, needed)


def _sum(column: str) -> Coalesce:
    return Coalesce(Sum(column), 0)


def _files(batch: Batch) -> dict[str, int]:
    refused = ~Q(problem__in=("", BatchFile.Problem.REMOVED))
    files = batch.files.order_by().aggregate(all=Count("pk"), refused=Count("pk", filter=refused))
    counts = {"missing": 0, "fetching": 0, "refused": files["refused"]}
    if files["all"]:
        fetched = Count("pk", filter=Q(fetch_after__isnull=False))
        counts |= batch.files.missing().order_by().aggregate(missing=Count("pk"), fetching=fetched)
    return counts


def _renditions(batch: Batch) -> Counter[str]:
    if not batch.outputs:
        return Counter()
    rows: Any = Rendition.objects.filter(job__batch=batch).order_by().values_list("state")
    return Counter(dict(rows.annotate(Count("pk"))))
