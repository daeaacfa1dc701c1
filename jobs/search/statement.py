"""Filter, page and sum up a team's statement, at any number of transfers.

A filter picks one index to read by, and the other conditions are tried on what that finds. Where one index
doesn't have all of it, as for what a person spent or decided, the statement is merged from several parts. No
transfer is in two of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import BigIntegerField, CharField, Count, ExpressionWrapper, F, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat

from accounts.credits import statement
from accounts.ledger import operations as ledger
from accounts.models import ApiKey, LedgerAccount, Team, Transfer
from jobs.models import Attempt
from jobs.search import pagination
from jobs.search.date_range import DateRange
from jobs.search.pagination import MAX_SCANNED, Page

Kind = Transfer.Kind
ALL_DAYS = DateRange()

BY_A_PERSON = (Kind.GRANT, Kind.REFUND, Kind.ADJUST)
"""Kinds that a person makes for a whole team, so that they have no spender."""

SUMMED_AT_MOST = 5_000
"""More transfers than these aren't summed up while a reader waits; the export has them all."""

AT_ONCE = 1_000
"""Rows of an export that are in memory at once."""


@dataclass(frozen=True)
class StatementFilter:
    """Conditions on a team's transfers; None means no filter.

    ``person`` is the key of a user, who spent or who decided, ``key`` an API key's Id, ``span`` the days, and
    ``batch`` selects what its pictures moved.
    """

    person: int | None = None
    key: str | None = None
    kind: str | None = None
    batch: UUID | None = None
    span: DateRange = ALL_DAYS

    def __bool__(self) -> bool:
        """Return True if it leaves anything out."""
        return any(getattr(self, field.name) != field.default for field in fields(self))


@dataclass(frozen=True)
class Sums:
    """Sums of a filtered statement, in micro-credits. change: of what is available."""

    count: int = 0
    granted: int = 0
    held: int = 0
    charged: int = 0
    given_back: int = 0
    change: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


class Part(NamedTuple):
    """Rows that an index has in the order of their keys, and a condition on them that it doesn't cover."""

    rows: QuerySet[Transfer]
    condition: Q


def page(team: Team, chosen: StatementFilter, before: int | None, size: int) -> Page[Transfer]:
    """Return the newest transfers before a key, with names.

    As in ``pagination.filtered_page``, there may be fewer than asked for, and older ones nevertheless.
    """
    low, high = pagination.keys_of_days(ledger.transfers(team), chosen.span)
    if high is not None:
        before = min(before or pagination.MAX_KEY, high + 1)
    days = chosen.span.contains("created_at")
    pages = [
        _read(Part(rows.filter(days), others), low, before, size) for rows, others in _parts(team, chosen)
    ]
    # Further down, a part that was read less far may have more.
    floor = max((each.older for each in pages if each.older), default=None)
    found = sorted({row.pk for each in pages for row in each.rows if row.pk >= (floor or 0)}, reverse=True)
    newest, older = found[:size], found[size - 1] if len(found) > size else floor
    rows = statement.with_names(ledger.transfers(team).filter(pk__in=newest))
    return Page(list(rows), older)


def _read(part: Part, low: int | None, before: int | None, size: int) -> Page[Transfer]:
    """Return the newest of a part's rows before a key, and not below ``low``.

    With one bound at either end: of two, SQLite begins or ends at whichever the statement names first.
    """
    rows = part.rows.only("pk") if before is None else part.rows.only("pk").filter(pk__lt=before)
    above = rows if low is None else rows.filter(pk__gte=low)
    keys = above.order_by("-pk").values_list("pk", flat=True)
    last = keys[MAX_SCANNED - 1 : MAX_SCANNED].first() if part.condition else None
    within = above if last is None else rows.filter(pk__gte=last)
    matches = pagination.page(within.filter(part.condition), None, size)
    return matches if matches.older else Page(matches.rows, last)


def every(team: Team, chosen: StatementFilter) -> Iterator[list[Transfer]]:
    """Yield all of the transfers, the newest first, in lists of ``AT_ONCE`` at most."""
    before: int | None = None
    while True:
        read = page(team, chosen, before, AT_ONCE)
        yield read.rows
        before = read.older
        if before is None:
            return


def sums(team: Team, chosen: StatementFilter) -> Sums | None:
    """Return what the transfers add up to; None if that would take more than ``SUMMED_AT_MOST``."""
    low, high = pagination.keys_of_days(ledger.transfers(team), chosen.span)
    bounds = ({} if low is None else {"pk__gte": low}) | ({} if high is None else {"pk__lte": high})
    total = Sums()
    for part in _parts(team, chosen):
        added = _sums(Part(part.rows.filter(**bounds), part.condition), chosen.span)
        if added is None:
            return None
        total += added
    return total


def _sums(part: Part, span: DateRange) -> Sums | None:
    """Sum up a part within the keys of the days.

    The days are tried on what that finds. PostgreSQL takes keys and days for independent, so it would expect
    few rows and sort all that there are. ``pagination.SLACK`` rows at either end may be of other days.
    """
    condition = part.condition & span.contains("created_at")
    most = SUMMED_AT_MOST + (2 * pagination.SLACK if span != ALL_DAYS else 0)
    available = Q(credit__kind=LedgerAccount.Kind.AVAILABLE)
    spending = Q(debit__kind=LedgerAccount.Kind.AVAILABLE)
    of_kinds = {
        "granted": Q(kind=Kind.GRANT),
        "held": Q(kind=Kind.HOLD),
        "charged": Q(kind__in=Transfer.BOOKINGS),
        "given_back": Q(kind=Kind.RELEASE),
        "added": available,
        "taken": spending,
    }
    amounts = {name: _sum(which & condition) for name, which in of_kinds.items()}
    newest = part.rows.order_by("-pk")[: most + 1]
    counted = newest.aggregate(read=Count("pk"), count=Count("pk", filter=condition), **amounts)
    if counted.pop("read") > most or counted["count"] > SUMMED_AT_MOST:
        return None
    return Sums(change=counted.pop("added") - counted.pop("taken"), **counted)


def _sum(which: Q) -> Coalesce:
    return Coalesce(Sum("amount_microcredits", filter=which), 0)


def _parts(team: Team, chosen: StatementFilter) -> list[Part]:
    """Return what to read on whichever days, by the filter that selects the least."""
    kind, person = _if(kind=chosen.kind), _if(spender=chosen.person) | _if(actor=chosen.person)
    if chosen.batch:
        others = _if(api_key__api_id=chosen.key) & person & kind
        parts = [Part(rows, others) for rows in _of_batch(team, chosen.batch)]
    elif chosen.key:
        keys = ApiKey.objects.filter(team=team, api_id=chosen.key).values_list("pk", flat=True)
        parts = [Part(Transfer.objects.filter(api_key=key), person & kind) for key in keys]
    elif chosen.person is not None:
        parts = list(_of_person(team, chosen.person, kind))
    else:
        parts = [Part(ledger.transfers(team).filter(kind), Q())]
    return parts


def _of_batch(team: Team, batch: UUID) -> Iterator[QuerySet[Transfer]]:
    """Yield the holds of a batch's calls, what ended them, and what covered their overages."""
    calls = Attempt.objects.filter(job__batch=batch, hold__isnull=False)
    rows, holds = _in_team(team), calls.values("hold")
    covers = calls.annotate(key=Concat(Value("covers:"), Cast("hold", CharField())))
    yield rows.filter(pk__in=holds)
    yield rows.filter(hold__in=holds)
    yield rows.filter(idempotency_key__in=covers.values("key"))


def _of_person(team: Team, person: int, kind: Q) -> Iterator[Part]:
    """Yield what a person spent, what they granted or corrected, and how they decided others' calls."""
    spent, acted = Q(spender=person), ~Q(spender=person) & Q(acting=person)
    decided = Attempt.objects.filter(reviewed_by=person, hold__isnull=False).values("hold")
    yield Part(ledger.transfers(team).filter(spent), kind)
    for each in BY_A_PERSON:
        yield Part(ledger.transfers(team).filter(kind=each).alias(acting=_plain("actor_id")), acted & kind)
    yield Part(_in_team(team).alias(acting=_plain("actor_id")).filter(acted, hold__in=decided), kind)


def _in_team(team: Team) -> QuerySet[Transfer]:
    """Select the team's transfers, to be found by something else than the team."""
    return Transfer.objects.alias(of_team=_plain("team_id")).filter(of_team=team.pk)


def _plain(column: str) -> Combinable:
    """Return a column such that no index has it.

    SQLite doesn't know how few rows a sub-select finds, or how many a person acted in. By its guess it would
    read through all that the team, or the person, ever had.
    """
    return ExpressionWrapper(F(column) + 0, output_field=BigIntegerField())


def _if(**condition: Any) -> Q:
    """Return the condition, or none if its value is None."""
    ((_name, value),) = condition.items()
    return Q() if value is None else Q(**condition)
