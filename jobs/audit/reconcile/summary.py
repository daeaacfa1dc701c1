"""Sum up an account's periods by day and month, and judge them, for the pages of staff."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from django.db.models import QuerySet
from django.utils import timezone

from accounts.ledger.periods import midnight
from jobs.audit.reconcile import book
from jobs.audit.reconcile.periods import Figures, Outcome
from jobs.models import BalancePeriod, BalanceSnapshot, UpstreamAccount

FIRST_YEAR, LAST_YEAR = 1970, 9998
FOR_A_PERSON = (Outcome.PERSON, Outcome.PINNED)
SUMS = ("calls", "charged", "booked", "purchased", "in_doubt", "held_in_doubt", "missing")


@dataclass(frozen=True)
class Sums:
    """Several periods that follow each other; amounts in micro-credits.

    opening, closing: the first and the last balance. The columns add up: opening + purchased − charged −
    missing + gap = closing. gap: what the balance changed between two chains of periods, while the account
    wasn't used.
    """

    day: date | None
    opening: int
    closing: int
    gap: int
    periods: int
    calls: int
    charged: int
    booked: int
    purchased: int
    in_doubt: int
    held_in_doubt: int
    missing: int
    unexplained: int

    @property
    def expected(self) -> int:
        return self.opening + self.purchased - self.charged

    @property
    def difference(self) -> int:
        return -self.missing


@dataclass(frozen=True)
class Judged:
    """One period, or a run of busy ones from one quiet balance to the next, with its outcome."""

    rows: list[BalancePeriod]
    figures: Figures

    @property
    def last(self) -> BalancePeriod:
        return self.rows[-1]

    @property
    def opening_at(self) -> datetime:
        return self.rows[0].opening.came_at

    @property
    def outcome(self) -> Outcome:
        return self.figures.outcome

    @property
    def difference(self) -> int:
        return -self.figures.missing

    @property
    def is_span(self) -> bool:
        return len(self.rows) > 1

    @property
    def can_be_booked(self) -> bool:
        """Return True if the balance says what a call in doubt was charged."""
        certain = self.outcome in (Outcome.AGREES, Outcome.PINNED)
        return certain and any(row.in_doubt or "stated" in row.notable for row in self.rows)


def rows_of(account: UpstreamAccount) -> QuerySet[BalancePeriod]:
    """Return the account's periods with their balances, newest first."""
    rows = BalancePeriod.objects.of_account(account.pk).select_related("opening", "closing")
    return rows.defer("opening__answer", "closing__answer").order_by("-closing")


def month_edges(first: date) -> tuple[datetime, datetime]:
    """Return the begin of the month that begins with this day, and that of the next one."""
    return midnight(first), midnight((first + timedelta(days=31)).replace(day=1))


def in_month(account: UpstreamAccount, first: date) -> list[BalancePeriod]:
    """Return the periods that ended in the month that begins with this day, oldest first."""
    begin, end = month_edges(first)
    of_account = BalancePeriod.objects.of_account(account.pk)
    ended = of_account.filter(closing__came_at__gte=begin, closing__came_at__lt=end)
    rows = list(ended.select_related("closing").defer("closing__answer").order_by("closing"))
    # Most begin with the balance that ended the one before, so few are read again.
    balances = {row.closing_id: row.closing for row in rows}
    others = {row.opening_id for row in rows} - balances.keys()
    balances |= BalanceSnapshot.objects.defer("answer").in_bulk(others)
    for row in rows:
        row.opening = balances[row.opening_id]
    return rows


def judge(row: BalancePeriod) -> Judged:
    """Judge a period by itself."""
    return Judged([row], book.figures(row))


def judge_span(rows: list[BalancePeriod]) -> Judged:
    """Judge a run of periods between two quiet balances, over which the calls under way cancel."""
    own = [book.figures(row) for row in rows]
    return Judged(
        rows,
        Figures(
            missing=sum(each.missing for each in own),
            in_doubt=sum(each.in_doubt for each in own),
            held_in_doubt=sum(each.held_in_doubt for each in own),
            failed=sum(each.failed for each in own),
        ),
    )


def spans(rows: list[BalancePeriod]) -> Iterator[Judged]:
    """Yield the runs of several busy periods among these rows, which are in their order, that are bounded."""
    run: list[BalancePeriod] = []
    for row in rows:
        follows = run and run[-1].closing_id == row.opening_id
        if not row.flying_in:
            run = [row]
        elif follows:
            run = [*run, row]
        else:
            run = []
        if len(run) > 1 and not row.flying_out:
            yield judge_span(run)


def findings(rows: list[BalancePeriod]) -> list[Judged]:
    """Return what a person has to look at, each once: in the smallest period that shows it."""
    found = [judged for judged in map(judge, rows) if judged.outcome in FOR_A_PERSON]
    named = {judged.last.pk for judged in found}
    found += [
        judged
        for judged in spans(rows)
        if judged.outcome in FOR_A_PERSON and named.isdisjoint(row.pk for row in judged.rows)
    ]
    return sorted(found, key=lambda judged: judged.last.closing_id, reverse=True)


def days(rows: Iterable[BalancePeriod]) -> list[Sums]:
    """Sum up rows, in their order, by the day on which they ended; the newest day comes first."""
    by_day = groupby(rows, key=_day)
    return [total(list(group), day) for day, group in by_day][::-1]


def total(rows: list[BalancePeriod], day: date | None = None) -> Sums:
    """Sum up at least one row."""
    sums = {name: sum(getattr(row, name) for row in rows) for name in SUMS}
    opening, closing = rows[0].opening.microcredits, rows[-1].closing.microcredits
    return Sums(
        day=day,
        opening=opening,
        closing=closing,
        gap=closing - (opening + sums["purchased"] - sums["charged"] - sums["missing"]),
        periods=len(rows),
        unexplained=sum(judge(row).outcome is Outcome.PERSON for row in rows),
        **sums,
    )


def _day(row: BalancePeriod) -> date:
    return timezone.localtime(row.closing.came_at).date()
