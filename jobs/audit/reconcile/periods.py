"""Check the account's balance over time: opening − charges + purchases = closing. Pure functions.

A balance is usable only if it is *quiet*: no call and no purchase was in progress while it was asked for. So
every call falls entirely into one period between two quiet balances, and only those are compared.

Attempts don't record which upstream they were sent to. A balance of another upstream in between therefore
ends the chain, and the next balance of this upstream starts a new one.
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

MAX_NAMED = 20


class Outcome(StrEnum):
    AGREES = "agrees"
    PINNED = "pinned"
    PERSON = "for a person"


@dataclass
class Activity:
    """The calls and purchases between two balances, in micro-credits.

    ``doubts``: calls that may have been charged. ``failed``: those released after a 5xx, which probably
    weren't. ``decided``: those whose cost a person, or an earlier balance, decided. ``stated``: those in
    doubt whose response nevertheless states the charge, because it came late or couldn't be booked.
    """

    purchased: int = 0
    charged: int = 0
    calls: int = 0
    doubts: list[Call] = field(default_factory=list)
    failed: list[Call] = field(default_factory=list)
    decided: list[Call] = field(default_factory=list)
    stated: list[Call] = field(default_factory=list)

    def add(self, event: Call | Purchase) -> None:
        if isinstance(event, Purchase):
            self.purchased += event.microcredits
            return
        self.calls += 1
        self.charged += event.known or 0
        if event.in_doubt:
            self.doubts.append(event)
        elif event.state == State.IN_DOUBT:
            self.stated.append(event)
        elif event.failed:
            self.failed.append(event)
        elif event.decided:
            self.decided.append(event)

    @property
    def held_in_doubt(self) -> int:
        return sum(call.held for call in self.doubts)


@dataclass(frozen=True)
class Period:
    """The time between two quiet balances."""

    opening: BalanceSnapshot
    closing: BalanceSnapshot
    activity: Activity

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
    def outcome(self) -> Outcome:
        if not self.missing:
            return Outcome.AGREES
        # If a single call is in doubt and nothing else can have cost the difference, that is its charge. More
        # than its hold would be so unlikely that a person looks first.
        alone = len(self.activity.doubts) == 1 and not self.activity.failed
        return Outcome.PINNED if alone and self.is_possible else Outcome.PERSON

    @property
    def is_possible(self) -> bool:
        """Return True if charges within the holds of the calls in doubt can explain the closing balance."""
        return 0 <= self.missing <= self.activity.held_in_doubt

    @property
    def decisions(self) -> list[tuple[Call, int]]:
        """Return the calls in doubt whose charge is certain, each with it in micro-credits.

        Charges are never negative: if nothing is missing, none of the calls in doubt was charged.
        """
        if self.outcome is Outcome.PERSON:
            return []
        doubts = [(call, self.missing) for call in self.activity.doubts if call.state == State.IN_DOUBT]
        return doubts + [(call, call.known or 0) for call in self.activity.stated]

    def says(self) -> str:
        """Return the outcome as a sentence."""
        gap, activity = to_credits(abs(self.missing)), self.activity
        if self.outcome is Outcome.AGREES:
            settled = f", so this wasn't charged: {names(activity.doubts)}" if activity.doubts else ""
            stated = (
                f", with this charged as its header says: {names(activity.stated)}" if activity.stated else ""
            )
            return f"Nothing is missing{stated}{settled}."
        if self.outcome is Outcome.PINNED:
            return f"{gap} is missing, and only {names(activity.doubts)} can have been charged that."
        if self.missing < 0:
            return f"{gap} is there that nothing explains: a purchase not entered, or a charge taken back."
        if not _suspects(activity):
            return (
                f"{gap} is missing, and no attempt explains it: credits expired, or others use the account."
            )
        return f"{gap} is missing, and it isn't certain what it went for: {'; '.join(_suspects(activity))}."


@dataclass
class Statement:
    """Periods in their order. ``unused`` counts balances that weren't quiet."""

    periods: list[Period] = field(default_factory=list)
    unused: int = 0


def statement(
    upstream: str, snapshots: Iterable[BalanceSnapshot], calls: Iterable[Call], purchases: Iterable[Purchase]
) -> Statement:
    """Compute the periods in one pass over all three, each sorted by ``came_at``, ``began`` or ``bought_at``.

    ``snapshots`` are those of every upstream. ``calls`` is consumed lazily, so that millions take no memory.
    """
    result = Statement()
    opening, activity = None, Activity()
    events: Iterator[Any] = merge(calls, purchases, key=_began)
    event = next(events, None)
    busy_until = datetime.min.replace(tzinfo=UTC)
    for snapshot in snapshots:
        while event and _began(event) <= snapshot.came_at:
            activity.add(event)
            busy_until = max(busy_until, _ended(event))
            event = next(events, None)
        if snapshot.upstream != upstream:
            opening = None
        elif busy_until >= snapshot.asked_at:
            result.unused += 1
        else:
            if opening:
                result.periods.append(Period(opening, snapshot, activity))
            opening, activity = snapshot, Activity()
    return result


def names(calls: list[Call]) -> str:
    """Name the first calls, and count the others."""
    more = len(calls) - MAX_NAMED
    return ", ".join(call.name for call in calls[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _suspects(activity: Activity) -> list[str]:
    """List the calls that may have cost the difference. Only the first kind is ever settled."""
    kinds = {
        f"in doubt, {to_credits(activity.held_in_doubt)} held": activity.doubts,
        "probably not charged, as a server error answered": activity.failed,
        "decided by a person or an earlier balance": activity.decided,
    }
    return [f"{names(calls)} ({kind})" for kind, calls in kinds.items() if calls]


def _began(event: Any) -> datetime:
    began: datetime = event.bought_at if isinstance(event, Purchase) else event.began
    return began


def _ended(event: Call | Purchase) -> datetime:
    return event.bought_at if isinstance(event, Purchase) else event.ended
