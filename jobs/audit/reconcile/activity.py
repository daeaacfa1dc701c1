"""Add up what happened between two balances of the upstream account. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from accounts.ledger.money import to_credits
from jobs.audit.reconcile.calls import Call, State
from jobs.models import Purchase

MAX_NAMED = 20

Happening = Call | Purchase


@dataclass
class Activity:
    """The calls and purchases between two balances, in micro-credits.

    ``doubts``: calls that may have been charged. ``failed``: those released after a 5xx, which probably
    weren't. ``decided``: those whose cost a person, or an earlier balance, decided. ``stated``: those in
    doubt whose response nevertheless states the charge, because it came late or couldn't be booked.
    ``under_way``: how many a worker will still change.
    """

    purchased: int = 0
    charged: int = 0
    booked: int = 0
    calls: int = 0
    under_way: int = 0
    doubts: list[Call] = field(default_factory=list)
    failed: list[Call] = field(default_factory=list)
    decided: list[Call] = field(default_factory=list)
    stated: list[Call] = field(default_factory=list)

    def add(self, event: Happening) -> None:
        if isinstance(event, Purchase):
            self.purchased += event.microcredits
            return
        self.calls += 1
        self.charged += event.known or 0
        self.booked += event.booked
        self.under_way += event.is_under_way
        if event.in_doubt:
            self.doubts.append(event)
        elif event.state == State.IN_DOUBT:
            self.stated.append(event)
        elif event.failed:
            self.failed.append(event)
        elif event.decided:
            self.decided.append(event)

    def __iadd__(self, later: Self) -> Self:
        """Add the activity that followed."""
        for name in ("purchased", "charged", "booked", "calls", "under_way"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        for name in ("doubts", "failed", "decided", "stated"):
            getattr(self, name).extend(getattr(later, name))
        return self

    @property
    def held_in_doubt(self) -> int:
        return sum(call.held for call in self.doubts)


def began(event: Happening) -> datetime:
    return event.bought_at if isinstance(event, Purchase) else event.began


def ended(event: Happening) -> datetime:
    return event.bought_at if isinstance(event, Purchase) else event.ended


def taken(event: Happening) -> int:
    """Return what an event surely took from the account; below zero for credits that came."""
    return -event.microcredits if isinstance(event, Purchase) else event.known or 0


def at_most(event: Happening) -> int:
    """Return what it took at most: for a call in doubt, what is held for it."""
    return event.held if isinstance(event, Call) and event.in_doubt else taken(event)


def names(calls: Iterable[Call]) -> str:
    """Name the first calls, and count the others."""
    every = list(calls)
    more = len(every) - MAX_NAMED
    return ", ".join(call.name for call in every[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def suspects(activity: Activity) -> list[str]:
    """List the calls that may have cost a difference. Only the first kind is ever settled."""
    held = to_credits(activity.held_in_doubt)
    kinds = {
        f"in doubt, {held} held": activity.doubts,
        "probably not charged, as a server error answered": activity.failed,
        "decided by a person or an earlier balance": activity.decided,
    }
    return [f"{names(calls)} ({kind})" for kind, calls in kinds.items() if calls]
