"""Write the ledger: two-phase double entry in integer micro-credits. Nothing else writes it.

A call is paid in two phases. ``hold`` sets its ceiling aside before anything is sent; then ``settle`` books
what was charged, or ``release`` gives the hold back. Nothing is edited or deleted: a correction is a new
transfer with an author and a reason.

::

    issued ──grant──▶ available ──hold──▶ held ──settle──▶ spent
                          ▲                 │                ▲
                          └─────release─────┘      owed ─overage

Each function is a transaction of its own, or part of the caller's.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from accounts.ledger import allowances, posting
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.posting import (
    Account,
    AlreadyResolvedError,
    Books,
    DuplicateKeyError,
    InsufficientCreditsError,
    LedgerError,
    Leg,
)
from accounts.models import ApiKey, Team, Transfer, User

__all__ = [
    "AllowanceUsedUpError",
    "AlreadyResolvedError",
    "DuplicateKeyError",
    "InsufficientCreditsError",
    "LedgerError",
    "OwingError",
]

AVAILABLE, HELD, SPENT, OWED, ISSUED = Account
Kind = Transfer.Kind
Resolution = Transfer.Resolution


class OwingError(LedgerError):
    """The team owes an overage, and gets no new hold until a grant covers it."""

    def __init__(self, owed: int) -> None:
        super().__init__(f"{owed} micro-credits owed")
        self.owed_microcredits = owed


@dataclass(frozen=True)
class Balances:
    """A team's balances in micro-credits, each zero or more."""

    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0


def balances(team: Team) -> Balances:
    """Return the team's present balances."""
    rows = team.ledger_accounts.values_list("kind", "balance_microcredits")
    return Balances(**{kind: abs(balance) for kind, balance in rows})


def transfers(team: Team) -> QuerySet[Transfer]:
    """Return the team's transfers, newest first."""
    return Transfer.objects.filter(team=team).order_by("-pk")


def grant(team: Team, amount: int, *, key: str, actor: User | None = None, memo: str = "") -> None:
    """Give the team credits. What it owes is covered first."""
    with posting.locked(team.pk) as books:
        books.post(_incoming(books, amount, Kind.GRANT, key, memo), actor=actor)


def hold(
    team: Team,
    amount: int,
    *,
    key: str,
    reference: str,
    actor: User | None = None,
    api_key: ApiKey | None = None,
) -> Transfer:
    """Set credits aside for one call; raise InsufficientCreditsError, OwingError or AllowanceUsedUpError.

    actor: who spends; with ``api_key``, the owner of that key.
    """
    with posting.locked(team.pk) as books:
        if owed := books.balance(OWED):
            raise OwingError(owed)
        now = timezone.now()  # after the wait for the lock: an allowance's period may have ended meanwhile
        leg = Leg(AVAILABLE, HELD, amount, Kind.HOLD, key)
        (held,) = books.write([leg], reference=reference, actor=actor, api_key=api_key, at=now)
        if books.has_allowances:
            allowances.count_hold(team.pk, held)
        books.move([leg])
        return held


def settle(held: Transfer, charged: int, *, actor: User | None = None, memo: str = "") -> datetime:
    """End a hold by what was charged, and return when; raise AlreadyResolvedError if it has ended before.

    If less than the hold was charged, the rest is released. If more was charged, the excess is an overage: it
    is paid out of what the team has available, and the rest is owed until the next grant. A charge of zero is
    a release.
    """
    if charged == 0:
        return release(held, actor=actor, memo=memo)
    booked = min(charged, held.amount_microcredits)
    rest, excess = held.amount_microcredits - booked, charged - booked
    with posting.locked_for(held) as books:
        covered = min(books.balance(AVAILABLE), excess)
        legs = [
            Leg(HELD, SPENT, booked, Kind.SETTLE, f"settle:{held.pk}", Resolution.CLOSE, memo),
            Leg(HELD, AVAILABLE, rest, Kind.RELEASE, f"remainder:{held.pk}", Resolution.REMAINDER),
            Leg(OWED, SPENT, excess, Kind.OVERAGE, f"overage:{held.pk}", Resolution.EXCESS, memo),
            Leg(AVAILABLE, OWED, covered, Kind.ADJUST, f"covers:{held.pk}", memo="covers an overage"),
        ]
        first, *_ = books.post(legs, held=held, actor=actor)
        if books.has_allowances:
            allowances.count_ending(held, books.team_id, charged)
        return first.created_at


def release(held: Transfer, *, actor: User | None = None, memo: str = "") -> datetime:
    """End a hold by giving it back, and return when; raise AlreadyResolvedError if it has ended before."""
    amount, key = held.amount_microcredits, f"release:{held.pk}"
    with posting.locked_for(held) as books:
        leg = Leg(HELD, AVAILABLE, amount, Kind.RELEASE, key, Resolution.CLOSE, memo)
        (closing,) = books.post([leg], held=held, actor=actor)
        if books.has_allowances:
            allowances.count_ending(held, books.team_id, 0)
        return closing.created_at


def refund(team: Team, amount: int, *, key: str, reference: str, actor: User, memo: str) -> None:
    """Give a team credits back for a call that was charged, at the expense of whoever runs the site.

    What was spent stays as the upstream charged it. What the team owes is covered first.
    """
    with posting.locked(team.pk) as books:
        legs = _incoming(books, amount, Kind.REFUND, key, memo)
        books.post(legs, reference=reference, actor=actor)


def adjust(team: Team, amount: int, *, key: str, actor: User, memo: str, reference: str = "") -> None:
    """Correct what the team has, up or (``amount`` below zero) down, with an author and a reason.

    reference: the call that it is for, if any. What the team owes is covered first. Raise
    InsufficientCreditsError if less is available than is taken.
    """
    with posting.locked(team.pk) as books:
        if amount > 0:
            legs = _incoming(books, amount, Kind.ADJUST, key, memo)
        else:
            legs = [Leg(AVAILABLE, ISSUED, -amount, Kind.ADJUST, key, memo=memo)]
        books.post(legs, reference=reference, actor=actor)


def _incoming(books: Books, amount: int, kind: Transfer.Kind, key: str, memo: str) -> list[Leg]:
    covered = min(amount, books.balance(OWED))
    # One transfer always has the key as it stands, so that a repetition is refused even if all was owed.
    covers_key = f"{key}:covers" if covered < amount else key
    return [
        Leg(ISSUED, OWED, covered, kind, covers_key, memo=memo),
        Leg(ISSUED, AVAILABLE, amount - covered, kind, key, memo=memo),
    ]
