"""Count the values that a filtered set of jobs has, and sum its money."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from accounts.models import Team
from jobs.models import Attempt, Job
from jobs.models.verdicts import Verdict
from jobs.search import filters
from jobs.search.filters import JobFilter
from jobs.search.scan import keys_in

MAX_COUNTED = 3_000
"""Jobs that are counted and summed: the newest, within the time that a page may take."""

COLUMNS = ("state", "origin", "test", "created_by", "api_key", "batch")
_URGENCY = {verdict.value: urgency for urgency, verdict in enumerate(Verdict)}
_VERDICTS = [verdict.value for verdict in Verdict]


@dataclass
class Facets:
    """The newest jobs of a filtered set: how many have each value of a column, and their money.

    Amounts are in micro-credits, over all attempts; ``held`` counts the last attempt of each job. more: there
    are older ones, or ones that weren't looked at, and they aren't in the figures.
    """

    total: int = 0
    more: bool = False
    estimated: int = 0
    held: int = 0
    charged: int = 0
    booked: int = 0
    counts: dict[str, Counter[Any]] = field(default_factory=dict)


def facets(team: Team, job_filter: JobFilter) -> Facets:
    """Count and sum the newest ``MAX_COUNTED`` matching jobs, in one pass over them and one over attempts."""
    found = filters.find(team, job_filter, None, MAX_COUNTED)
    names = ("pk", "reused_from", "estimated_microcredits", *COLUMNS)
    jobs = list(Job.objects.filter(team=team, pk__in=keys_in(found.keys)).values_list(*names))
    # By columns, and not job by job, since a page waits for thousands of them.
    keys, reused, estimates, *values = zip(*jobs, strict=True) if jobs else [()] * len(names)
    result = Facets(total=len(keys), more=found.last is not None, estimated=sum(estimates))
    result.counts = {name: Counter(column) for name, column in zip(COLUMNS, values, strict=True)}
    urgencies = _add_attempts(result, found.keys)
    verdicts = Counter(_VERDICTS[urgency] for urgency in urgencies.values())
    without = [place for place, key in enumerate(keys) if key not in urgencies]
    verdicts.update(_without_attempt(values[0][at], is_reused=reused[at] is not None) for at in without)
    result.counts["verdict"] = verdicts
    return result


def _add_attempts(result: Facets, jobs: list[int]) -> dict[int, int]:
    """Add the money of the jobs' attempts, and return the most urgent of each job's verdicts, as a number."""
    judged: QuerySet[Any] = Attempt.objects.with_verdict().filter(job__in=keys_in(jobs)).order_by("number")
    urgencies: dict[int, int] = {}
    held: dict[int, int] = {}
    for job, hold, known, booked, verdict in judged.values_list("job", "held", "known", "booked", "verdict"):
        result.charged += known or 0
        result.booked += booked
        held[job] = hold  # the last attempt's stays
        urgency = _URGENCY[verdict]
        urgencies[job] = min(urgencies.get(job, urgency), urgency)
    result.held = sum(held.values())
    return urgencies


def _without_attempt(state: str, *, is_reused: bool) -> str:
    """Return the verdict of a job that made no call, as ``jobs.audit.reconcile.books`` does."""
    if is_reused:
        return Verdict.MATCHED.value
    return Verdict.RELEASED.value if state in Job.FINISHED else Verdict.OPEN.value
