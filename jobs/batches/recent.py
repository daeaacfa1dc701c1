"""List a team's recent batches, with how far each has come."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from accounts.models import Team
from jobs.models import Batch, BatchFile, Job

SHOWN = 8

State = Job.State

WAITING = "waiting"
TONES = {
    State.DONE: "done",
    State.RUNNING: "running",
    State.QUEUED: WAITING,
    State.KEPT: WAITING,
    State.PAUSED: WAITING,
    State.FAILED: "problem",
    State.IN_DOUBT: "problem",
    State.CANCELLED: "cancelled",
}
ORDER = ("done", "running", WAITING, "problem", "cancelled")


@dataclass(frozen=True)
class Recent:
    """A batch, and how many of its pictures are in each tone."""

    pk: UUID
    name: str
    author: str
    created_at: datetime
    counts: Counter[str]

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def done(self) -> int:
        return self.counts["done"]

    @property
    def waiting(self) -> int:
        return self.counts["running"] + self.counts[WAITING]

    @property
    def problems(self) -> int:
        return self.counts["problem"]

    @property
    def bars(self) -> Iterator[tuple[str, int, int]]:
        """Yield the tone, the start and the width of each part of the bar; the total is the whole width."""
        start = 0
        for tone in ORDER:
            if width := self.counts[tone]:
                yield tone, start, width
                start += width


def recent(team: Team) -> list[Recent]:
    """Return the newest batches, without those that were only priced and never started."""
    batches = list(_started(team).select_related("created_by").order_by("-created_at")[:SHOWN])
    counts = _counts([batch.pk for batch in batches])
    return [
        Recent(batch.pk, batch.name, str(batch.created_by), batch.created_at, counts[batch.pk])
        for batch in batches
    ]


def _started(team: Team) -> QuerySet[Batch]:
    jobs = Job.objects.filter(batch=OuterRef("pk")).values("pk")[:1]
    files = BatchFile.objects.filter(batch=OuterRef("pk")).exclude(problem="", url="").values("pk")[:1]
    # As values and not as EXISTS, one of which PostgreSQL would answer by reading the files of all teams.
    batches = Batch.objects.alias(job=Subquery(jobs), file=Subquery(files))
    return batches.filter(Q(job__isnull=False) | Q(file__isnull=False), team=team)


def _counts(batches: list[UUID]) -> dict[UUID, Counter[str]]:
    counts: dict[UUID, Counter[str]] = {batch: Counter() for batch in batches}
    states = Job.objects.filter(batch__in=batches).order_by().values_list("batch", "state")
    for batch, state, count in states.annotate(count=Count("pk")):
        counts[batch][TONES[State(state)]] += count
    for batch, refused, missing in _files(batches):
        counts[batch]["problem"] += refused
        counts[batch][WAITING] += missing
    return counts


def _files(batches: list[UUID]) -> Iterable[tuple[UUID, int, int]]:
    """Yield how many files of each batch were refused, and how many haven't arrived."""
    arrived = Exists(Job.objects.filter(team=OuterRef("batch__team"), request_id=OuterRef("request_id")))
    files = BatchFile.objects.filter(batch__in=batches).order_by().values("batch")
    refused = Count("pk", filter=~Q(problem__in=("", BatchFile.Problem.REMOVED)))
    missing = Count("pk", filter=Q(~arrived, problem=""))
    return files.annotate(refused=refused, missing=missing).values_list("batch", "refused", "missing")
