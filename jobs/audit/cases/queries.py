"""Find the cases of a team, or of all: in the order of the list, and one by its address.

The list reads a few columns of what waits, by indexes that have only those rows; whole rows are read for the
page that is shown.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Abs, Coalesce

from accounts.models import Adjustment, CreditRequest, Team
from jobs.audit import several
from jobs.audit.cases import rows
from jobs.audit.cases.kinds import DOUBTS, OF_ATTEMPTS, Case, Entry, Kind, Source
from jobs.models import Attempt, BadResult, BulkDecision, DamagedResult, Verification
from jobs.models.attempt import AttemptQuerySet
from pixian.protocol.credits import UnreadableCreditsError, parse_credits

Rows = TypeVar("Rows", bound=QuerySet[Any])

MAX_LISTED = 2_000
"""Of each source. A list of more is none that a person works through; the page says that there are more."""

ALL = Q()
KINDS = {kind.value: kind for kind in OF_ATTEMPTS}
PAGE = 30
MAX_COUNTED = 99
ADDRESS = re.compile(r"([a-z]{1,10})-([0-9]{1,18})(?:-([0-9]{1,4}))?")


@dataclass(frozen=True)
class CasePage:
    """A page of the list. counts: of all kinds, whichever is shown. total, stake: of those that are shown.

    doubts, held: of the calls in doubt among those, which can be decided together.
    """

    cases: list[Case]
    number: int
    has_next: bool
    counts: dict[Kind, int]
    total: int
    stake: int
    is_cut: bool
    doubts: int
    held: int


def page(team: Team | None, kind: str = "", number: int = 1, calls: Q | None = None) -> CasePage:
    """Return a page of the team's cases, or of all teams' with None, by money at stake.

    calls: only cases about calls that this condition on attempts selects.
    """
    found = [list(source(team)) for source in _SOURCES] if calls is None else [list(_attempts(team, calls))]
    entries = sorted(chain(*found), key=lambda entry: entry.rank)
    counts = Counter(entry.kind for entry in entries)
    listed = [entry for entry in entries if not kind or entry.kind == kind]
    doubts = [entry for entry in listed if entry.may_decide]
    first = (number - 1) * PAGE
    return CasePage(
        cases=rows.load(listed[first : first + PAGE]),
        number=number,
        has_next=len(listed) > first + PAGE,
        counts={each: counts[each] for each in Kind if counts[each]},
        total=len(listed),
        stake=sum(entry.stake or 0 for entry in listed),
        is_cut=any(len(entries) >= MAX_LISTED for entries in found),
        doubts=len(doubts),
        held=sum(entry.held for entry in doubts),
    )


def count(team: Team | None) -> int:
    """Return how many cases the team has, or all with None; counting to 100, in one query."""
    sources: list[QuerySet[Any]] = [_for_review(team), *(table(team) for table in _TABLES)]
    keys = [source.order_by().values("pk") for source in sources]
    return keys[0].union(*keys[1:], all=True)[: MAX_COUNTED + 1].count()


def find(team: Team | None, address: str) -> Case | None:
    """Return the case with this address, open or decided; None if the team has no such row."""
    if not (named := ADDRESS.fullmatch(address)) or named[1] not in Source.values:
        return None
    source, pk, number = Source(named[1]), int(named[2]), int(named[3] or 0)
    for entry in _BY_SOURCE[source](team, Q(pk=pk)):
        if entry.number == number:
            return next(iter(rows.load([entry])), None)
    case = rows.decided(source, pk)
    return case if case and (team is None or case.team == team) else None


def doubts(team: Team | None, calls: Q, kind: str = "") -> list[Case]:
    """Return the open cases of calls in doubt that this condition on attempts selects.

    Those on which a decision waits for a second person are left out.
    """
    kinds = [each for each in DOUBTS if not kind or each == kind]
    entries = [entry for entry in _attempts(team, calls) if entry.may_decide and entry.kind in kinds]
    return rows.load(sorted(entries, key=lambda entry: entry.rank))


def calls_of(addresses: list[str]) -> Q:
    """Return the condition on attempts that selects the calls among these addresses."""
    named = filter(None, map(ADDRESS.fullmatch, addresses))
    return Q(pk__in=[int(match[2]) for match in named if match[1] == Source.ATTEMPT.value])


def _for_review(team: Team | None) -> AttemptQuerySet:
    return _of_jobs(Attempt.objects.for_review(), team)


def _of_jobs(rows: Rows, team: Team | None) -> Rows:
    """Select the rows whose job is the team's, of those that wait: they are few."""
    # By a sum, which no index has. By the index on teams SQLite would look through all jobs of the team.
    return rows.alias(of_team=F("job__team") + 0).filter(of_team=team.pk) if team else rows


def _attempts(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    listed: QuerySet[Any] = _for_review(team).filter(only).with_verdict()
    since = Coalesce("ended_at", "answered_at", "sent_at", "prepared_at")
    named = listed.annotate(
        since=since, over=Coalesce("excess__amount_microcredits", 0), stated=F("charged_microcredits")
    ).values_list(
        "pk", "verdict", "held", "over", "stated", "booked", "charged_header", "since", "put_off_at"
    )
    proposed = several.pending(team)
    for key, verdict, held, over, charged, booked, header, at, put_off in named.order_by("-held")[
        :MAX_LISTED
    ]:
        kind, stake = KINDS.get(verdict, Kind.OVERAGE), held
        if kind is Kind.OVERAGE:
            stake = over
        elif kind is Kind.MISMATCH:
            stake = abs((charged or 0) - booked)
        elif kind is Kind.IMPLAUSIBLE:
            stake = max(held, _readable(header))
        is_put_off, is_proposed = put_off is not None, key in proposed and kind in DOUBTS
        yield Entry(kind, Source.ATTEMPT, key, stake, at, is_put_off, held, proposed=is_proposed)


def _readable(header: str | None) -> int:
    """Return the micro-credits of a header that wasn't believed; 0 if they can't be read."""
    try:
        return parse_credits(header or "")
    except UnreadableCreditsError:
        return 0


def _results(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    paid = Coalesce(Sum("job__attempts__charged_microcredits"), 0)
    listed = _damaged(team).filter(only).annotate(paid=paid).order_by("-paid")
    for key, stake, since in listed.values_list("pk", "paid", "found_at")[:MAX_LISTED]:
        yield Entry(Kind.DAMAGED, Source.RESULT, key, stake, since)


def _findings(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    """Yield what the last verification found; it names no team, so only staff see it."""
    last = None if team else Verification.objects.first()
    if last and Verification.objects.filter(only, pk=last.pk).exists():
        for number, _finding in enumerate(last.findings, 1):
            yield Entry(Kind.FINDING, Source.FINDING, last.pk, None, last.at, number=number)


def _reports(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    paid = Coalesce(Sum("job__attempts__charged_microcredits"), 0)
    listed = _open_reports(team).filter(only).annotate(paid=paid).order_by("-paid")
    for key, stake, since in listed.values_list("pk", "paid", "reported_at")[:MAX_LISTED]:
        yield Entry(Kind.REPORT, Source.REPORT, key, stake, since)


def _requests(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    listed = _open_requests(team).filter(only).order_by("-microcredits")
    for key, stake, since in listed.values_list("pk", "microcredits", "created_at")[:MAX_LISTED]:
        yield Entry(Kind.REQUEST, Source.REQUEST, key, stake, since)


def _adjustments(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    listed = _open_adjustments(team).filter(only).annotate(size=Abs("microcredits")).order_by("-size")
    for key, stake, since in listed.values_list("pk", "size", "asked_at")[:MAX_LISTED]:
        yield Entry(Kind.ADJUSTMENT, Source.ADJUSTMENT, key, stake, since)


def _decisions(team: Team | None, only: Q = ALL) -> Iterator[Entry]:
    listed = _open_decisions(team).filter(only).order_by("-stake_microcredits")
    for key, stake, since in listed.values_list("pk", "stake_microcredits", "asked_at")[:MAX_LISTED]:
        yield Entry(Kind.DECISION, Source.DECISION, key, stake, since)


def _damaged(team: Team | None) -> QuerySet[DamagedResult]:
    return _of_jobs(DamagedResult.objects.all(), team)


def _open_reports(team: Team | None) -> QuerySet[BadResult]:
    return _of_jobs(BadResult.objects.filter(answered_at=None), team)


def _open_requests(team: Team | None) -> QuerySet[CreditRequest]:
    return CreditRequest.objects.waiting().filter(**({"team": team} if team else {}))


def _open_adjustments(team: Team | None) -> QuerySet[Adjustment]:
    return Adjustment.objects.waiting().filter(**({"team": team} if team else {}))


def _open_decisions(team: Team | None) -> QuerySet[BulkDecision]:
    return BulkDecision.objects.open().filter(**({"team": team} if team else {}))


_TABLES = (_damaged, _open_reports, _open_requests, _open_adjustments, _open_decisions)
_BY_SOURCE: dict[Source, Callable[..., Iterator[Entry]]] = {
    Source.ATTEMPT: _attempts,
    Source.RESULT: _results,
    Source.FINDING: _findings,
    Source.REPORT: _reports,
    Source.REQUEST: _requests,
    Source.ADJUSTMENT: _adjustments,
    Source.DECISION: _decisions,
}
_SOURCES = tuple(_BY_SOURCE.values())
