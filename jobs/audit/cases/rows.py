"""Read the rows of cases, whole, for the page that shows them."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet

from accounts.models import Adjustment, CreditRequest
from jobs.audit.cases.kinds import Case, Entry, Kind, Source
from jobs.models import Attempt, BadResult, BulkDecision, DamagedResult, Verification
from jobs.models.verdicts import Verdict


def load(entries: list[Entry], *, is_open: bool = True) -> list[Case]:
    """Return the cases in the order of the entries, with one query for each table."""
    found: dict[tuple[Source, int], Model] = {}
    for source, table in _TABLES.items():
        keys = [entry.pk for entry in entries if entry.source == source]
        if keys:
            found |= {(source, row.pk): row for row in table().filter(pk__in=keys)}
    there = [entry for entry in entries if (entry.source, entry.pk) in found]
    return [_case(entry, found[entry.source, entry.pk], is_open) for entry in there]


def decided(source: Source, pk: int) -> Case | None:
    """Return the case that a row was, for those who come too late; None if it never was one."""
    row: Any = _TABLES[source]().filter(pk=pk).first()
    if row is None or source in (Source.FINDING, Source.RESULT):
        return None
    if source is Source.ATTEMPT and row.reviewed_at is None:
        return None
    if source is Source.DECISION and row.finished_at is None:
        return None
    since = {
        Source.ATTEMPT: lambda: row.reviewed_at,
        Source.REPORT: lambda: row.answered_at,
        Source.DECISION: lambda: row.finished_at,
    }.get(source, lambda: row.decided_at)()
    kind = _kind_of_attempt(row) if source is Source.ATTEMPT else Kind(source.value)
    return load([Entry(kind, source, pk, 0, since)], is_open=False)[0]


def _kind_of_attempt(attempt: Attempt) -> Kind:
    """Return what the attempt was in review for."""
    doubts = {
        Attempt.Doubt.IMPLAUSIBLE: Kind.IMPLAUSIBLE,
        Attempt.Doubt.UNBOOKED: Kind.UNBOOKED,
        Attempt.Doubt.NO_CHARGE: Kind.NO_HEADER,
    }
    if attempt.doubt:
        return doubts.get(Attempt.Doubt(attempt.doubt), Kind.IN_DOUBT)
    return Kind.OVERAGE if attempt.verdict == Verdict.OVERAGE else Kind.IN_DOUBT


def _attempts() -> QuerySet[Any]:
    attempts = Attempt.objects.with_verdict()
    return attempts.select_related(
        "job__team", "job__created_by", "job__api_key", "hold", "account", "reviewed_by"
    )


def _results() -> QuerySet[Any]:
    return DamagedResult.objects.select_related("job__team", "job__created_by", "job__api_key")


def _reports() -> QuerySet[Any]:
    related = ("job__team", "job__created_by", "job__api_key", "reported_by", "answered_by")
    return BadResult.objects.select_related(*related)


def _requests() -> QuerySet[Any]:
    return CreditRequest.objects.select_related("team", "asked_by", "decided_by")


def _adjustments() -> QuerySet[Any]:
    return Adjustment.objects.select_related("team", "asked_by", "decided_by")


def _decisions() -> QuerySet[Any]:
    return BulkDecision.objects.select_related("team", "asked_by", "decided_by")


_TABLES: dict[Source, Callable[[], QuerySet[Any]]] = {
    Source.ATTEMPT: _attempts,
    Source.RESULT: _results,
    Source.FINDING: Verification.objects.all,
    Source.REPORT: _reports,
    Source.REQUEST: _requests,
    Source.ADJUSTMENT: _adjustments,
    Source.DECISION: _decisions,
}


def _case(entry: Entry, row: Any, is_open: bool) -> Case:  # noqa: FBT001
    match entry.source:
        case Source.ATTEMPT | Source.RESULT:
            job = row.job
            return Case(entry, job.team, row, job.name, job.who, job, is_open)
        case Source.REPORT:
            return Case(entry, row.job.team, row, row.job.name, str(row.reported_by), row.job, is_open)
        case Source.FINDING:
            return Case(entry, None, row, str(row.findings[entry.number - 1][1]), is_open=is_open)
        case _:
            note = getattr(row, "note", "") or getattr(row, "reason", "")
            return Case(entry, row.team, row, note, str(row.asked_by), is_open=is_open)
