"""What ``manage.py reconcile`` says, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.periods import Outcome, Period, Statement
from jobs.audit.reconcile.rows import Row, for_a_person, sent_within
from jobs.audit.reconcile.verdicts import DOUBTS, Sums, Verdict, tally
from jobs.search.date_range import DateRange

MOST_LISTED = 30  # periods; of more than these only those that say something
FIGURES = ("attempts", "estimated", "held", "charged", "booked")


@dataclass
class Report:
    tallies: dict[Verdict, Sums]
    statement: Statement
    waiting: list[Row]

    @property
    def needs_a_person(self) -> bool:
        """An overage alone doesn't: it is booked, and only waits to be looked at."""
        return any(row.verdict != Verdict.OVERAGE for row in self.waiting) or any(
            period.outcome is Outcome.PERSON for period in self.statement.periods
        )


def report(span: DateRange) -> Report:
    attempts = sent_within(span)
    return Report(tally(attempts), balances(span), list(for_a_person(attempts)))


def as_text(report: Report, listed: list[Row]) -> Iterator[str]:
    """listed: rows to print one by one."""
    yield from ("", *_tallies(report.tallies))
    yield from (f"  {row.says()}" for row in listed)
    yield ""
    yield from _periods(report.statement)
    yield from ("", *_left(report))


def as_data(report: Report) -> dict[str, Any]:
    """Amounts in micro-credits."""
    return {
        "attempts": {kind.value: asdict(sums) for kind, sums in report.tallies.items()},
        "periods": [_period_data(period) for period in report.statement.periods],
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


def _periods(told: Statement) -> Iterator[str]:
    if not told.periods:
        yield "No two balances to compare."
    listed = [period for period in told.periods if len(told.periods) <= MOST_LISTED or _is_news(period)]
    if len(listed) < len(told.periods):
        yield f"Periods that agree, with nothing in doubt: {len(told.periods) - len(listed)}."
    for period in listed:
        happened = period.happened
        yield (
            f"{period.title}: "
            f"{to_credits(period.opening.microcredits)} − {to_credits(happened.charged)} charged by "
            f"{happened.calls} calls + {to_credits(happened.purchased)} bought, then "
            f"{to_credits(period.closing.microcredits)}"
        )
        yield f"  {period.outcome}: {period.says()}"
    if told.unused:
        yield f"Balances not used, since something was under way just then: {told.unused}."


def _is_news(period: Period) -> bool:
    return period.outcome is not Outcome.AGREES or bool(period.happened.doubts)


def _left(report: Report) -> Iterator[str]:
    periods = [period for period in report.statement.periods if period.outcome is Outcome.PERSON]
    certain = {call.pk for period in report.statement.periods for call, _charged in period.decisions}
    told = {call.pk for period in report.statement.periods for call in period.happened.doubts}
    if not (periods or report.waiting):
        yield "Nothing is left to a person."
        return
    yield "Left to a person:"
    for period in periods:
        yield f"  {period.title}: {period.says()}"
    for row in report.waiting:
        yield f"  {row.says()}{_outlook(row, certain, told)}"


def _outlook(row: Row, certain: set[int], told: set[int]) -> str:
    """What the balances say of an attempt in doubt."""
    if row.pk in certain:
        return "; --settle books what the balances say"
    in_doubt = row.verdict in DOUBTS
    return "; it doesn't lie between two balances" if in_doubt and row.pk not in told else ""


def _period_data(period: Period) -> dict[str, Any]:
    happened = period.happened
    return {
        "from": period.opening.came_at,
        "to": period.closing.asked_at,
        "opening": period.opening.microcredits,
        "purchased": happened.purchased,
        "charged": happened.charged,
        "closing": period.closing.microcredits,
        "missing": period.missing,
        "calls": happened.calls,
        "outcome": period.outcome,
        "says": period.says(),
        "in_doubt": [call.name for call in happened.doubts],
        "failed": [call.name for call in happened.failed],
        "decided": [call.name for call in happened.decided],
    }
