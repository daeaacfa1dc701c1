"""Filter and page a team's jobs."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import ApiKey, Team
from jobs.models import Job
from jobs.models.job import JobQuerySet
from jobs.models.verdicts import Verdict
from jobs.search import name_index, names, pagination, verdicts
from jobs.search.date_range import DateRange
from jobs.search.pagination import MAX_KEY, MAX_SCANNED, Page
from jobs.search.scan import Found, among, scan

ALL_DAYS = DateRange()
NO_KEY = 0
FIRST_SCANNED = 2_000
"""Jobs that are looked at before an index of rare names or verdicts is asked."""

COMMON = 40
"""A condition that one of so many jobs meets is common: a scan finds the others sooner than such an index."""

FIRST_JUDGED, MAX_JUDGED = 200, 3_000
"""The same, of jobs whose verdicts are computed, and the most of them for one page."""

APART = 4
"""A job that such an index names takes so many times as long to read as one of a scan: they lie apart."""


@dataclass(frozen=True)
class JobFilter:
    """Conditions on jobs; None means no filter.

    ``key`` is an API key's Id, ``person`` a user's key, ``span`` the days on which jobs were submitted, and
    ``name`` a part of the picture's name, in either case.
    """

    state: str | None = None
    origin: str | None = None
    key: str | None = None
    name: str | None = None
    span: DateRange = ALL_DAYS
    person: int | None = None
    test: bool | None = None
    verdict: Verdict | None = None
    batch: UUID | None = None


@dataclass(frozen=True)
class Selection:
    """A filter as the database reads it: rows that an index has in the order of keys, and a condition.

    most: the number of rows that one page may look at. first: those to look at
    before such an index is asked.
    """

    rows: QuerySet[Any]
    condition: Q
    most: int
    first: int


def of_team(team: Team) -> JobQuerySet:
    """Select the team's jobs with everything that a page or response reads, in a fixed number of queries."""
    return Job.objects.with_books().select_related("created_by", "api_key").filter(team=team)


def page(team: Team, job_filter: JobFilter, before: int | None, size: int) -> Page[Job]:
    """Return the newest matching jobs before a key.

    It may have fewer jobs than asked for, even none, and still name an older key to continue from.
    """
    found = find(team, job_filter, before, size + 1)
    jobs = list(of_team(team).filter(pk__in=found.keys[:size]).order_by("-pk"))
    return Page(jobs, found.keys[size - 1] if len(found.keys) > size else found.last)


def find(team: Team, job_filter: JobFilter, before: int | None, size: int) -> Found:
    """Return the keys of at most ``size`` matching jobs, the newest before a key."""
    selection = select(team, job_filter, before)
    if _is_rare(job_filter):
        first = scan(selection.rows, selection.condition, size, selection.first)
        if len(first.keys) == size or first.last is None:
            return first
        if len(first.keys) * COMMON < selection.first:
            candidates = _candidates(team, job_filter, MAX_KEY if before is None else before, selection.most)
            if candidates is not None:
                return _among(candidates, selection, size)
    return scan(selection.rows, selection.condition, size, selection.most)


def _among(candidates: Found, selection: Selection, size: int) -> Found:
    """Return the newest candidates that match, among no more than a page may read."""
    read = candidates.keys[: max(1, selection.most // APART)]
    keys = among(read, selection.rows, selection.condition, size)
    if len(keys) == size:
        return Found(keys, keys[-1])
    return Found(keys, candidates.last if len(read) == len(candidates.keys) else read[-1])


def select(team: Team, job_filter: JobFilter, before: int | None = None) -> Selection:
    """Choose the index that has the fewest rows, as far as that is known without counting."""
    key = _key_of(team, job_filter.key)
    rows: QuerySet[Job] = _indexed(team, job_filter, key)
    rows = pagination.in_days(rows, Job.objects.filter(team=team), job_filter.span)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if job_filter.verdict is None:
        return Selection(rows, _condition(team, job_filter, key), MAX_SCANNED, FIRST_SCANNED)
    condition = _condition(team, job_filter, key) & Q(verdict=job_filter.verdict)
    return Selection(verdicts.judged(rows), condition, MAX_JUDGED, FIRST_JUDGED)


def _is_rare(job_filter: JobFilter) -> bool:
    by_name = job_filter.name is not None and name_index.covers(names.spellings(job_filter.name))
    return by_name or verdicts.has_index(job_filter.verdict)


def _candidates(team: Team, job_filter: JobFilter, before: int, most: int) -> Found | None:
    if job_filter.verdict and verdicts.has_index(job_filter.verdict):
        return verdicts.candidates(team, job_filter.verdict, before, MAX_SCANNED)
    return name_index.candidates(team.pk, names.spellings(job_filter.name or ""), before, most)


def _key_of(team: Team, api_id: str | None) -> int | None:
    if api_id is None:
        return None
    keys = ApiKey.objects.filter(team=team, api_id=api_id)
    return keys.values_list("pk", flat=True).first() or NO_KEY


def _indexed(team: Team, job_filter: JobFilter, key: int | None) -> JobQuerySet:
    mine = Job.objects.filter(team=team)
    state, origin = job_filter.state, job_filter.origin
    if job_filter.batch is not None:
        return Job.objects.filter(batch=job_filter.batch)
    if job_filter.test:
        return mine.filter(test=True)
    if state not in (None, Job.State.DONE):
        return mine.in_state(str(state))
    if key is not None and origin != Job.Origin.DROP_IN:
        return Job.objects.filter(api_key=key)
    if job_filter.person is not None and origin != Job.Origin.DROP_IN:
        return mine.filter(created_by=job_filter.person)
    return mine if origin is None else mine.filter(origin=origin)


def _condition(team: Team, job_filter: JobFilter, key: int | None) -> Q:
    """Return all conditions but the verdict's, those of the index included: they cost little."""
    given = {
        "team": team.pk,
        "batch": job_filter.batch,
        "test": job_filter.test,
        "state": job_filter.state,
        "api_key": key,
        "created_by": job_filter.person,
        "origin": job_filter.origin,
    }
    plain = Q(**{name: value for name, value in given.items() if value is not None})
    named = names.contains(job_filter.name) if job_filter.name is not None else Q()
    return plain & job_filter.span.contains("created_at") & named
