"""Format the report of ``manage.py reconcile``, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.current_book import Book, current_book
from jobs.audit.reconcile.periods import Outcome, Period, Statement
from jobs.audit.reconcile.rows import Row, for_a_person, sent_within
from jobs.audit.reconcile.verdicts import Sums, tally
from jobs.models.verdicts import DOUBTS, Verdict
from jobs.search.date_range import DateRange

MOST_LISTED = 30  # periods; of more than these only those that say something
FIGURES = ("attempts", "estimated", "held", "charged", "booked")


@dataclass
class Report:
    tallies: dict[Verdict, Sums]
    book: Book
    statement: Statement
    waiting: list[Row]

    @property
    def needs_a_person(self) -> bool:
        """Return True if a person has to act; an overage alone is booked and only waits for a review."""
        return any(row.verdict != Verdict.OVERAGE for row in self.waiting) or any(
            period.outcome is Outcome.PERSON for period in self.statement.judged
        )


def report(span: DateRange) -> Report:
    attempts = sent_within(span)
    return Report(tally(attempts), current_book(), balances(span), list(for_a_person(attempts)))


def as_text(report: Report, listed: list[Row]) -> Iterator[str]:
    """Yield the report's lines; ``listed`` are rows to print one by one."""
    yield from ("", *_tallies(report.tallies))
    yield from (f"  {row.says()}" for row in listed)
    yield ""
    yield from report.book.says()
    yield from _periods(report.statement)
    yield from ("", *_for_a_person(report))


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as JSON data; amounts are in micro-credits."""
    return {
        "attempts": {kind.value: asdict(sums) for kind, sums in report.tallies.items()},
        "account": report.book.account and str(report.book.account),
        "account_before": report.book.before and str(report.book.before),
        "periods": [_period_data(period) for period in report.statement.judged],
        "balances_unused": report.statement.unused,
        "waiting": [row_data(row) for row in report.waiting],
        "needs_a_person": report.needs_a_person,
    }


def row_data(row: Row) -> dict[str, Any]:
    return {"attempt": row.name} | row._asdict()


def _tallies(tallies: dict[Verdict, Sums]) -> Iterator[str]:
    lines: list[tuple[str, ...]] = [("", *FIGURES)]
    for kind, sums in tallies.items():
        credits_ = (str(to_credits(getattr(sums, name))) for name in FIGURES[1:])
        lines.append((kind.value.replace("_", " "), str(sums.attempts), *credits_))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *more in lines:
        cells = [f"{cell:>{width}}" for cell, width in zip(more, widths[1:], strict=True)]
        yield "  ".join([f"{first:<{widths[0]}}", *cells])


def _periods(statement: Statement) -> Iterator[str]:
    periods = statement.judged
    if not periods:
        yield "No two balances to compare."
    listed = [period for period in periods if len(periods) <= MOST_LISTED or _is_news(period)]
    if len(listed) < len(periods):
        yield f"Periods that agree, with nothing in doubt: {len(periods) - len(listed)}."
    for period in listed:
        activity = period.activity
        yield (
            f"{period.title}: "
            f"{to_credits(period.opening.microcredits)} − {to_credits(activity.charged)} charged by "
            f"{activity.calls} calls + {to_credits(activity.purchased)} bought, then "
            f"{to_credits(period.closing.microcredits)}"
        )
        yield f"  {period.outcome}: {period.says()}"
    if statement.unused:
        yield f"Balances that aren't exact, because something was in progress just then: {statement.unused}."


def _is_news(period: Period) -> bool:
    return period.outcome is not Outcome.AGREES or bool(period.activity.doubts)


def _for_a_person(report: Report) -> Iterator[str]:
    judged = report.statement.judged
    periods = [period for period in judged if period.outcome is Outcome.PERSON]
    certain = {call.pk for period in judged for call, _charged in period.decisions}
    between_balances = {call.pk for period in judged for call in period.activity.doubts}
    if not (periods or report.waiting):
        yield "Nothing is left to a person."
        return
    yield "Left to a person:"
    for period in periods:
        yield f"  {period.title}: {period.says()}"
    for row in report.waiting:
        yield f"  {row.says()}{_outlook(row, certain, between_balances)}"


def _outlook(row: Row, certain: set[int], between_balances: set[int]) -> str:
    """Return what the balances say about an attempt in doubt."""
    if row.pk in certain:
        return "; --settle books what the balances say"
    in_doubt = row.verdict in DOUBTS
    return "; it doesn't lie between two balances" if in_doubt and row.pk not in between_balances else ""


def _period_data(period: Period) -> dict[str, Any]:
    activity = period.activity
    return {
        "from": period.opening.came_at,
        "to": period.closing.asked_at,
        "opening": period.opening.microcredits,
        "purchased": activity.purchased,
        "charged": activity.charged,
        "closing": period.closing.microcredits,
        "missing": period.missing,
        "calls": activity.calls,
        "outcome": period.outcome,
        "says": period.says(),
        "in_doubt": [call.name for call in activity.doubts],
        "failed": [call.name for call in activity.failed],
        "decided": [call.name for call in activity.decided],
        "under_way": len(period.flying_in) + len(period.flying_out),
    }
