"""Check the account's balance over time: opening − charges + purchases = closing. Pure functions.

A balance is *quiet* if no call and no purchase was in progress while it was asked for. Between two quiet
balances every call falls entirely into one period, so these must agree exactly. On a busy instance there may
be none for long. Then a call counts in the period in which it began; what was under way at either balance may
have been charged on its other side, and moves what is missing between two bounds. Over a run of busy periods
that cancels, and the span from one quiet balance to the next is exact again.

A balance of another account in between ends the chain: nothing is known of the time until the next one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from typing import Any

from django.utils import timezone

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.activity import Activity, Happening, at_most, began, ended, names, suspects, taken
from jobs.audit.reconcile.calls import Call, State
from jobs.models import BalanceSnapshot, Purchase


class Outcome(StrEnum):
    AGREES = "agrees"
    PINNED = "pinned"
    POSSIBLE = "possible"
    PERSON = "for a person"


@dataclass(frozen=True)
class Figures:
    """Figures that a period is judged by, in micro-credits; kept in a row of ``BalancePeriod`` too.

    flying: the calls and purchases under way at its ends. may_raise, may_lower: by how much these may change
    what is missing.
    """

    missing: int
    in_doubt: int = 0
    held_in_doubt: int = 0
    failed: int = 0
    flying: int = 0
    may_raise: int = 0
    may_lower: int = 0

    @property
    def is_possible(self) -> bool:
        """Return True if calls in doubt, within their holds, and those under way can explain the balance."""
        return -self.may_lower <= self.missing <= self.may_raise + self.held_in_doubt

    @property
    def outcome(self) -> Outcome:
        if self.flying:
            return Outcome.POSSIBLE if self.is_possible else Outcome.PERSON
        if not self.missing:
            return Outcome.AGREES
        # If a single call is in doubt and nothing else can have cost the difference, that is its charge. More
        # than its hold would be so unlikely that a person looks first.
        alone = self.in_doubt == 1 and not self.failed
        return Outcome.PINNED if alone and self.is_possible else Outcome.PERSON


@dataclass(frozen=True)
class Period:
    """The time between two balances. flying_in, flying_out: what was under way at the one and the other."""

    opening: BalanceSnapshot
    closing: BalanceSnapshot
    activity: Activity
    flying_in: Sequence[Happening] = ()
    flying_out: Sequence[Happening] = ()

    @property
    def title(self) -> str:
        """Return the period's start and end, in the instance's time zone."""
        begin, end = timezone.localtime(self.opening.came_at), timezone.localtime(self.closing.asked_at)
        return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S %Z}"

    @property
    def missing(self) -> int:
        """Return the micro-credits that left the account unexplained; negative if it has too many."""
        expected = self.opening.microcredits + self.activity.purchased - self.activity.charged
        return expected - self.closing.microcredits

    @property
    def figures(self) -> Figures:
        # What began before counts there, so only what began in this period can have been counted too early.
        own = [event for event in self.flying_out if began(event) > self.opening.came_at]
        return Figures(
            missing=self.missing,
            in_doubt=len(self.activity.doubts),
            held_in_doubt=self.activity.held_in_doubt,
            failed=len(self.activity.failed),
            flying=len(self.flying_in) + len(self.flying_out),
            may_raise=sum(max(at_most(event), 0) for event in self.flying_in)
            + sum(max(-taken(event), 0) for event in own),
            may_lower=sum(max(taken(event), 0) for event in own)
            + sum(max(-taken(event), 0) for event in self.flying_in),
        )

    @property
    def outcome(self) -> Outcome:
        return self.figures.outcome

    @property
    def is_possible(self) -> bool:
        return self.figures.is_possible

    @property
    def is_under_way(self) -> bool:
        """Return True if a worker will still change one of its calls."""
        flying = (*self.flying_in, *self.flying_out)
        return self.activity.under_way > 0 or any(
            isinstance(event, Call) and event.is_under_way for event in flying
        )

    @property
    def decisions(self) -> list[tuple[Call, int]]:
        """Return the calls in doubt whose charge is certain, each with it in micro-credits.

        Charges are never negative: if nothing is missing, none of the calls in doubt was charged.
        """
        if self.outcome not in (Outcome.AGREES, Outcome.PINNED):
            return []
        doubts = [(call, self.missing) for call in self.activity.doubts if call.state == State.IN_DOUBT]
        return doubts + [(call, call.known or 0) for call in self.activity.stated]

    def says(self) -> str:
        """Return the outcome as a sentence."""
        gap, activity = to_credits(abs(self.missing)), self.activity
        match self.outcome:
            case Outcome.AGREES:
                settled = f", so this wasn't charged: {names(activity.doubts)}" if activity.doubts else ""
                stated = (
                    f", with this charged as its header says: {names(activity.stated)}"
                    if activity.stated
                    else ""
                )
                return f"Nothing is missing{stated}{settled}."
            case Outcome.PINNED:
                return f"{gap} is missing, and only {names(activity.doubts)} can have been charged that."
            case Outcome.POSSIBLE:
                return f"{gap} {self._way}, which calls under way at the balances, or in doubt, can explain."
        if self.missing < 0:
            return f"{gap} is there that nothing explains: a purchase not entered, or a charge taken back."
        if not suspects(activity):
            return (
                f"{gap} is missing, and no attempt explains it: credits expired, or others use the account."
            )
        return f"{gap} is missing, and it isn't certain what it went for: {'; '.join(suspects(activity))}."

    @property
    def _way(self) -> str:
        return "is missing" if self.missing >= 0 else "is too much"


@dataclass
class Statement:
    """An account's periods in their order.

    ``periods`` are those between quiet balances, which are exact. ``steps`` are those between all balances.
    ``unbounded`` are steps that lie between no two quiet balances. ``unused`` counts the balances that
    weren't quiet.
    """

    periods: list[Period] = field(default_factory=list)
    steps: list[Period] = field(default_factory=list)
    unbounded: list[Period] = field(default_factory=list)
    unused: int = 0

    @property
    def judged(self) -> list[Period]:
        """Return periods that cover all of the time once: the exact ones, and steps elsewhere."""
        return sorted([*self.periods, *self.unbounded], key=lambda period: period.opening.came_at)


def statement(
    account: int, snapshots: Iterable[BalanceSnapshot], calls: Iterable[Call], purchases: Iterable[Purchase]
) -> Statement:
    """Compute the periods in one pass over all three, each sorted by ``came_at``, ``began`` or ``bought_at``.

    ``snapshots`` are those of every account. ``calls`` is consumed lazily, so that millions take no memory.
    """
    chain = _Chain()
    events: Iterator[Any] = merge(calls, purchases, key=began)
    event = next(events, None)
    for snapshot in snapshots:
        if snapshot.account_id != account:
            chain.end()
            continue
        if chain.opening and snapshot.asked_at < chain.opening.came_at:
            chain.statement.unused += 1  # two processes asked simultaneously, so there is no time in between
            continue
        chain.drop_ended(snapshot)
        while event and began(event) <= snapshot.came_at:
            chain.add(event, snapshot)
            event = next(events, None)
        chain.close(snapshot)
    chain.end()
    return chain.statement


class _Chain:
    """The balances of an account that follow each other."""

    def __init__(self) -> None:
        self.statement = Statement()
        self.opening: BalanceSnapshot | None = None
        self.flying: list[Happening] = []  # at the next balance
        self._flying_in: list[Happening] = []
        self._step = Activity()
        self._quiet: BalanceSnapshot | None = None
        self._since_quiet: list[Period] = []
        self._span = Activity()

    def end(self) -> None:
        """Begin anew with the next balance."""
        self.statement.unbounded += self._since_quiet
        self.opening = self._quiet = None
        self._since_quiet, self._span = [], Activity()

    def drop_ended(self, snapshot: BalanceSnapshot) -> None:
        self._flying_in = self.flying
        self.flying = [event for event in self.flying if ended(event) >= snapshot.asked_at]

    def add(self, event: Happening, snapshot: BalanceSnapshot) -> None:
        self._step.add(event)
        if ended(event) >= snapshot.asked_at:
            self.flying.append(event)

    def close(self, snapshot: BalanceSnapshot) -> None:
        """Let a balance end a step, and if it is quiet, the span since the last quiet one."""
        if self.opening:
            step = Period(self.opening, snapshot, self._step, self._flying_in, self.flying)
            self.statement.steps.append(step)
            self._since_quiet.append(step)
            self._span += self._step
        if self.flying:
            self.statement.unused += 1
        else:
            self._end_span(snapshot)
        self.opening, self._step = snapshot, Activity()

    def _end_span(self, snapshot: BalanceSnapshot) -> None:
        if self._quiet:
            self.statement.periods.append(Period(self._quiet, snapshot, self._span))
        else:
            self.statement.unbounded += self._since_quiet
        self._quiet, self._span, self._since_quiet = snapshot, Activity(), []
