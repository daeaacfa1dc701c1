"""The account's balance over time: opening − charges + purchases = closing, or who has to look. Pure.

A balance says something only where it is *quiet*: no call and no purchase was under way while it was asked
for. So every call falls wholly into one period between two quiet balances, and only those are compared.

Attempts don't say which upstream they were sent to. A balance of another upstream in between therefore ends
the chain, and the next one of this upstream begins anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from heapq import merge
from typing import Any

from django.utils import timezone

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.calls import Call, State
from jobs.models import BalanceSnapshot, Purchase

MOST_NAMED = 20


class Outcome(StrEnum):
    AGREES = "agrees"
    PINNED = "pinned"
    PERSON = "for a person"


@dataclass
class Happened:
    """What is known of the time between two balances, in micro-credits.

    doubts: calls that may have been charged. failed: those given back after a 5xx, which probably weren't.
    decided: those of which a person, or an earlier balance, said what they cost. told: those in doubt whose
    answer names the charge all the same, since it came late or couldn't be booked.
    """

    purchased: int = 0
    charged: int = 0
    calls: int = 0
    doubts: list[Call] = field(default_factory=list)
    failed: list[Call] = field(default_factory=list)
    decided: list[Call] = field(default_factory=list)
    told: list[Call] = field(default_factory=list)

    def add(self, event: Call | Purchase) -> None:
        if isinstance(event, Purchase):
            self.purchased += event.microcredits
            return
        self.calls += 1
        self.charged += event.known or 0
        if event.in_doubt:
            self.doubts.append(event)
        elif event.state == State.IN_DOUBT:
            self.told.append(event)
        elif event.failed:
            self.failed.append(event)
        elif event.decided:
            self.decided.append(event)

    @property
    def held_in_doubt(self) -> int:
        return sum(call.held for call in self.doubts)


@dataclass(frozen=True)
class Period:
    """Between two quiet balances."""

    opening: BalanceSnapshot
    closing: BalanceSnapshot
    happened: Happened

    @property
    def title(self) -> str:
        """From when to when, in the instance's time zone."""
        begin, end = timezone.localtime(self.opening.came_at), timezone.localtime(self.closing.asked_at)
        return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S %Z}"

    @property
    def missing(self) -> int:
        """Micro-credits that left the account beyond all that is known; below zero where it has more."""
        expected = self.opening.microcredits + self.happened.purchased - self.happened.charged
        return expected - self.closing.microcredits

    @property
    def outcome(self) -> Outcome:
        if not self.missing:
            return Outcome.AGREES
        # One call in doubt, and nothing else that can have cost it: then it cost just that. More than was
        # held for it would be so odd that a person looks first.
        alone = len(self.happened.doubts) == 1 and not self.happened.failed
        return Outcome.PINNED if alone and self.is_possible else Outcome.PERSON

    @property
    def is_possible(self) -> bool:
        """Whether charges of the calls in doubt, none above its hold, can explain the closing balance."""
        return 0 <= self.missing <= self.happened.held_in_doubt

    @property
    def decisions(self) -> list[tuple[Call, int]]:
        """The calls in doubt of which it is certain what they were charged, with the micro-credits.

        Charges are never negative: where nothing is missing, none of several was charged.
        """
        if self.outcome is Outcome.PERSON:
            return []
        doubts = [(call, self.missing) for call in self.happened.doubts if call.state == State.IN_DOUBT]
        return doubts + [(call, call.known or 0) for call in self.happened.told]

    def says(self) -> str:
        """The outcome in a plain sentence."""
        gap, happened = to_credits(abs(self.missing)), self.happened
        if self.outcome is Outcome.AGREES:
            settled = f", so this wasn't charged: {names(happened.doubts)}" if happened.doubts else ""
            told = f", with this charged as its header says: {names(happened.told)}" if happened.told else ""
            return f"Nothing is missing{told}{settled}."
        if self.outcome is Outcome.PINNED:
            return f"{gap} is missing, and only {names(happened.doubts)} can have been charged that."
        if self.missing < 0:
            return f"{gap} is there that nothing explains: a purchase not entered, or a charge taken back."
        if not _suspects(happened):
            return (
                f"{gap} is missing, and no attempt explains it: credits expired, or others use the account."
            )
        return f"{gap} is missing, and it isn't certain what it went for: {'; '.join(_suspects(happened))}."


@dataclass
class Statement:
    """The periods in their order. unused: balances that weren't quiet."""

    periods: list[Period] = field(default_factory=list)
    unused: int = 0


def statement(
    upstream: str, snapshots: Iterable[BalanceSnapshot], calls: Iterable[Call], purchases: Iterable[Purchase]
) -> Statement:
    """One pass over all three, each in the order of its time: ``came_at``, ``began``, ``bought_at``.

    snapshots: of every upstream. calls: read as they are needed, so that millions take no memory.
    """
    found = Statement()
    opening, happened = None, Happened()
    events: Iterator[Any] = merge(calls, purchases, key=_began)
    event = next(events, None)
    busy_until = datetime.min.replace(tzinfo=UTC)
    for snapshot in snapshots:
        while event and _began(event) <= snapshot.came_at:
            happened.add(event)
            busy_until = max(busy_until, _ended(event))
            event = next(events, None)
        if snapshot.upstream != upstream:
            opening = None
        elif busy_until >= snapshot.asked_at:
            found.unused += 1
        else:
            if opening:
                found.periods.append(Period(opening, snapshot, happened))
            opening, happened = snapshot, Happened()
    return found


def names(calls: list[Call]) -> str:
    """The first of them, and how many more there are."""
    more = len(calls) - MOST_NAMED
    return ", ".join(call.name for call in calls[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _suspects(happened: Happened) -> list[str]:
    """What may have cost it. Only the first kind is ever pinned."""
    kinds = {
        f"in doubt, {to_credits(happened.held_in_doubt)} held": happened.doubts,
        "probably not charged, as a server error answered": happened.failed,
        "decided by a person or an earlier balance": happened.decided,
    }
    return [f"{names(calls)} ({kind})" for kind, calls in kinds.items() if calls]


def _began(event: Any) -> datetime:
    began: datetime = event.bought_at if isinstance(event, Purchase) else event.began
    return began


def _ended(event: Call | Purchase) -> datetime:
    return event.bought_at if isinstance(event, Purchase) else event.ended
