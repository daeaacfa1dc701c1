"""The witnesses side by side: each job with its attempts, and each attempt with what the upstream's log has
of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from chaos.upstream import Call, Charge, Log
from jobs.audit.reconcile import booked
from jobs.models import Attempt, Job

AT_ONCE = 500


@dataclass
class Told:
    """An attempt as our rows have it, and the calls and charges that the upstream's log has of it."""

    row: Attempt
    calls: list[Call] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)

    @property
    def booked_microcredits(self) -> int:
        """What its hold's transfers took."""
        return booked(self.row)

    @property
    def charged_microcredits(self) -> int:
        return sum(charge.microcredits for charge in self.charges)

    @property
    def unprocessed(self) -> list[Call]:
        """All calls but the last: each must have been one that the upstream didn't look at."""
        return self.calls[:-1]


@dataclass
class Case:
    """A job, its attempts in their order, and calls with its picture that no attempt explains."""

    job: Job
    attempts: list[Told]
    strays: list[Call]

    def __str__(self) -> str:
        return f"job {self.job.pk} ({self.job.name})"

    @property
    def last(self) -> Attempt:
        return self.attempts[-1].row


def cases(log: Log) -> Iterator[Case]:
    """Every job there is. A call is found by its picture, which no other job has, unless a program's request
    came again after its job had ended; then it belongs to the job that came last before it."""
    calls, charges, made_at = defaultdict(list), defaultdict(list), defaultdict(list)
    for call in log.calls:
        calls[call.sha256].append(call)
    for charge in log.charges:
        charges[charge.call].append(charge)
    for sha256, created_at in Job.objects.order_by("pk").values_list("source_sha256", "created_at"):
        made_at[sha256].append(created_at.timestamp())
    rows = Job.objects.select_related("team").prefetch_related("attempts__hold__resolutions").order_by("pk")
    for job in rows.iterator(AT_ONCE):
        made_at[job.source_sha256].pop(0)
        until = min(made_at[job.source_sha256], default=inf)
        mine = [call for call in calls[job.source_sha256] if call.at < until]
        calls[job.source_sha256] = [call for call in calls[job.source_sha256] if call.at >= until]
        yield _case(job, mine, charges)


def _case(job: Job, calls: Iterable[Call], charges: dict[int, list[Charge]]) -> Case:
    """A call belongs to the attempt that was prepared last before it arrived: one ends before the next is
    prepared."""
    attempts = [Told(row) for row in sorted(job.attempts.all(), key=lambda row: row.number)]
    strays = []
    for call in sorted(calls, key=lambda call: call.at):
        earlier = [told for told in attempts if told.row.prepared_at.timestamp() <= call.at]
        if earlier:
            earlier[-1].calls.append(call)
            earlier[-1].charges += charges[call.n]
        else:
            strays.append(call)
    return Case(job, attempts, strays)
