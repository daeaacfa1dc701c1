"""E10, faults in the upstream's log: one charge missing, one doubled, one of a wrong amount, one of nobody's.

All calls were booked as their headers say. The log tells what the balance is every so many calls; in it are
the four faults, which cancel each other in sum. The periods must show exactly these four, each once and to
the micro-credit. Each is then explained by an entry, and nothing is missing any more.

The controls are what sees none of them: the verdicts by the headers, and one comparison over all of the time.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from accounts.ledger.money import MICROCREDITS
from bench.speed.books_rows import CYCLE, Filled, charge, charges_until, fill
from chaos.experiments import Outcome
from chaos.system import System
from jobs.audit import purchases, verify
from jobs.audit.reconcile import book, summary
from jobs.audit.reconcile.account import between
from jobs.audit.reconcile.verdicts import tally
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot
from jobs.models.verdicts import Verdict

PERIODS = 25
OPENING = 10**9 * MICROCREDITS
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BY_THE_BALANCES = (7, 8)


@dataclass(frozen=True)
class Fault:
    """A planted fault: micro-credits that the upstream took otherwise than its headers say, after a call."""

    name: str
    call: int
    microcredits: int


def run(system: System, options: argparse.Namespace) -> Outcome:
    filled = fill(options.attempts, BEGIN)
    faults = _plant(system, options.attempts)
    taken = list(_balances(filled, options.attempts, faults))
    failures = [*_check(filled, faults), *_check_verify(len(faults))]
    by_headers = {verdict: sums.attempts for verdict, sums in tally(Attempt.objects.all()).items()}
    controls = {
        "control": int(by_headers == {Verdict.MATCHED: options.attempts}),
        "at once": int(not between(taken[0], taken[-1]).missing),
    }
    failures += _settle(filled)
    return Outcome(failures, controls, {"attempts": options.attempts, "faults": len(faults)})


def _plant(system: System, attempts: int) -> list[Fault]:
    """Put each fault into a period of its own."""
    each = attempts // PERIODS
    periods = system.chance.sample(range(PERIODS), 4)
    # Of the same charge, so that the first two cancel each other; the other two do by their amount.
    calls = [period * each + system.chance.randrange(1, each // CYCLE) * CYCLE for period in periods]
    return [
        Fault("missing", calls[0], -charge(calls[0])),
        Fault("doubled", calls[1], charge(calls[1])),
        Fault("wrong amount", calls[2], -1),
        Fault("of nobody", calls[3], 1),
    ]


def _balances(filled: Filled, attempts: int, faults: list[Fault]) -> Iterator[BalanceSnapshot]:
    """Take the balances that the upstream's log tells, as the product does."""
    for period in range(PERIODS + 1):
        calls = period * (attempts // PERIODS)
        off = sum(fault.microcredits for fault in faults if fault.call <= calls)
        left = OPENING - charges_until(calls) - off
        yield book.close(filled.account.pk, filled.at(calls + 0.6), filled.at(calls + 0.7), left, {})
        book.refresh(filled.account.pk)


def _check(filled: Filled, faults: list[Fault]) -> Iterator[str]:
    found = {judged.last.pk: judged.figures.missing for judged in summary.findings(_rows(filled))}
    for fault in faults:
        sent = filled.at(fault.call)
        row = BalancePeriod.objects.get(opening__came_at__lt=sent, closing__came_at__gte=sent)
        if found.pop(row.pk, None) != fault.microcredits:
            yield f"{fault.name}: not found after call {fault.call}"
    yield from (f"period {pk} lacks {lacks}, and nothing was planted there" for pk, lacks in found.items())


def _check_verify(faults: int) -> Iterator[str]:
    sentences = [text for number, text in verify.run(quick=True).findings if number in BY_THE_BALANCES]
    if len(sentences) != faults:
        yield f"verify finds {len(sentences)} instead of {faults}: {sentences}"


def _settle(filled: Filled) -> Iterator[str]:
    """Enter what explains each difference, as a person does from its page."""
    for judged in summary.findings(_rows(filled)):
        moment = judged.last.closing.asked_at - timedelta(seconds=0.1)
        purchases.enter(filled.account, moment, judged.difference, "Pixian's log", filled.user, uuid4())
    book.refresh(filled.account.pk)
    rows = _rows(filled)
    total = summary.total(rows)
    if summary.findings(rows) or total.missing or any(row.missing for row in rows):
        yield f"after all were explained, {total.missing} is missing"
    yield from _check_verify(0)


def _rows(filled: Filled) -> list[BalancePeriod]:
    return list(reversed(summary.rows_of(filled.account)))
