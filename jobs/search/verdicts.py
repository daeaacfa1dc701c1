"""Find a team's jobs by their verdicts, which the database computes from attempts and transfers."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Case, CharField, F, Func, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, StrIndex

from accounts.models import Team, Transfer
from jobs.models import Attempt, Job
from jobs.models.verdicts import DOUBTS, Verdict
from jobs.search.scan import Found

URGENCY = StrIndex(Value(" ".join(Verdict.values)), F("verdict"))
"""A number that is lower for a more urgent verdict; none of their names is a part of another."""

_WITHOUT_ATTEMPT = Case(
    When(reused_from__isnull=False, then=Value(Verdict.MATCHED.value)),
    When(state__in=[state.value for state in Job.FINISHED], then=Value(Verdict.RELEASED.value)),
    default=Value(Verdict.OPEN.value),
    output_field=CharField(),
)

_ENDED = [Func(template="'booked'"), Func(template="'released'")]  # as literals: see ``jobs.models.attempt``
_OPEN = Attempt.objects.exclude(state__in=_ENDED)
_UNFINISHED = [state for state in Job.State if state not in Job.FINISHED]
_FAILED = [state for state in Job.FINISHED if state != Job.State.DONE]


def judged(jobs: QuerySet[Job]) -> QuerySet[Any]:
    """Add the column ``verdict``: the same as ``jobs.audit.reconcile.books`` computes of a job."""
    attempts: QuerySet[Any] = Attempt.objects.with_verdict().filter(job=OuterRef("pk"))
    first = attempts.order_by(URGENCY, "pk").values("verdict")[:1]
    return jobs.annotate(verdict=Coalesce(Subquery(first), _WITHOUT_ATTEMPT))


def has_index(verdict: Verdict | None) -> bool:
    """Return True if ``candidates`` finds the jobs that have this verdict."""
    return verdict not in (None, Verdict.MATCHED, Verdict.MISMATCH)


def candidates(team: Team, verdict: Verdict, before: int, most: int) -> Found | None:
    """Return the newest jobs before a key that may have this verdict; there may be other teams' among them.

    None if no index finds them: most are *matched*, and a *mismatch* shows only in a comparison of the
    attempt with its transfers.
    """
    if verdict in DOUBTS:
        return Found(_jobs_of(_OPEN.filter(state=Attempt.State.IN_DOUBT), before))
    if verdict == Verdict.OVERAGE:
        over = Transfer.objects.filter(team=team, kind=Transfer.Kind.OVERAGE)
        return Found(_jobs_of(Attempt.objects.filter(hold__in=over.values("hold")), before))
    if verdict == Verdict.OPEN:
        waiting = [_jobs_of(_OPEN.exclude(state=Attempt.State.IN_DOUBT), before)]
        return _joined([*waiting, *_in_states(team, _UNFINISHED, before, most)], most)
    if verdict == Verdict.RELEASED:
        released = Attempt.objects.filter(state=Func(template="'released'"), job__lt=before)
        newest = list(released.order_by("-job").values_list("job", flat=True)[:most])
        return _joined([newest, *_in_states(team, _FAILED, before, most)], most)
    return None


def _jobs_of(attempts: QuerySet[Attempt], before: int) -> list[int]:
    keys = attempts.order_by().values_list("job", flat=True)
    return sorted({key for key in keys if key < before}, reverse=True)


def _in_states(team: Team, states: Iterable[Job.State], before: int, most: int) -> Iterator[list[int]]:
    for state in states:
        jobs = Job.objects.filter(team=team, pk__lt=before).in_state(state)
        yield list(jobs.order_by("-pk").values_list("pk", flat=True)[:most])


def _joined(parts: list[list[int]], most: int) -> Found:
    """Join lists of keys, down to where the first of those ends that were cut at ``most``."""
    floor = max((part[-1] for part in parts if len(part) == most), default=0)
    return Found(sorted({key for part in parts for key in part if key >= floor}, reverse=True), floor or None)
