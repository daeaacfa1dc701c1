"""The only writer of money: two-phase double entry in integer micro-credits.

A call is paid in two phases. ``hold`` sets its ceiling aside before anything is sent; ``settle`` books
what was charged, or ``release`` gives the hold back. Nothing is edited or deleted: a correction is a new
transfer with an author and a reason.

::

    issued ──grant──▶ available ──hold──▶ held ──settle──▶ spent
                          ▲                 │                ▲
                          └─────release─────┘      owed ─overage

Every function is one transaction of its own, or part of the caller's.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import posting
from accounts.models import Team, Transfer, User
from accounts.posting import (
    Account,
    AlreadyResolvedError,
    DuplicateKeyError,
    InsufficientCreditsError,
    LedgerError,
    Leg,
    post,
)

__all__ = [
    "AlreadyResolvedError",
    "DuplicateKeyError",
    "InsufficientCreditsError",
    "LedgerError",
    "OwingError",
]

Kind = Transfer.Kind
Resolution = Transfer.Resolution


class OwingError(LedgerError):
    """The team owes an overage; holds wait until it is covered."""

    def __init__(self, owed: int) -> None:
        super().__init__(f"{owed} micro-credits owed")
        self.owed_microcredits = owed


@dataclass(frozen=True)
class Balances:
    """A team's four figures, in micro-credits and all zero or above."""

    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0


def balances(team: Team) -> Balances:
    """What the team has, as of now."""
    rows = team.ledger_accounts.values_list("kind", "balance_microcredits")
    return Balances(**{kind: abs(balance) for kind, balance in rows})


def transfers(team: Team) -> QuerySet[Transfer]:
    """The team's transfers, newest first."""
    return Transfer.objects.filter(Q(debit__team=team) | Q(credit__team=team)).order_by("-pk")


@transaction.atomic
def grant(team: Team, amount: int, *, key: str, actor: User | None = None, memo: str = "") -> None:
    """Give the team credits. What it owes is covered first."""
    accounts = posting.locked_accounts(team)
    owed = accounts[Account.OWED]
    covers = min(amount, -owed.balance_microcredits)
    legs = [
        Leg(posting.issued(), owed, covers, Kind.GRANT, f"{key}:covers", memo=memo),
        Leg(posting.issued(), accounts[Account.AVAILABLE], amount - covers, Kind.GRANT, key, memo=memo),
    ]
    post(legs, actor=actor)


@transaction.atomic
def hold(team: Team, amount: int, *, key: str, reference: str, actor: User | None = None) -> Transfer:
    """Set credits aside for one call; raises InsufficientCreditsError or OwingError.

    What is owed is read without a lock: an overage booked just then counts as booked just after.
    """
    accounts = posting.accounts(team)
    if accounts[Account.OWED].balance_microcredits:
        raise OwingError(-accounts[Account.OWED].balance_microcredits)
    leg = Leg(accounts[Account.AVAILABLE], accounts[Account.HELD], amount, Kind.HOLD, key)
    return post([leg], reference=reference, actor=actor)[0]


@transaction.atomic
def settle(held: Transfer, charged: int, *, actor: User | None = None, memo: str = "") -> None:
    """End a hold by what was charged: the rest is released, an excess is owed as an overage.

    Raises AlreadyResolvedError where the hold has ended before. A charge of nothing is a release.
    """
    if charged == 0:
        release(held, actor=actor, memo=memo)
        return
    ceiling = held.amount_microcredits
    if charged > ceiling:
        _settle_above(held, charged - ceiling, actor, memo)
        return
    accounts = posting.accounts(_team(held))
    source, spent, available = accounts[Account.HELD], accounts[Account.SPENT], accounts[Account.AVAILABLE]
    close, rest = Resolution.CLOSE, Resolution.REMAINDER
    legs = [
        Leg(source, spent, charged, Kind.SETTLE, f"settle:{held.pk}", close, memo),
        Leg(source, available, ceiling - charged, Kind.RELEASE, f"remainder:{held.pk}", rest),
    ]
    post(legs, held=held, actor=actor)


@transaction.atomic
def release(held: Transfer, *, actor: User | None = None, memo: str = "") -> None:
    """End a hold by giving it back; raises AlreadyResolvedError where it has ended before."""
    accounts = posting.accounts(_team(held))
    leg = Leg(
        accounts[Account.HELD],
        accounts[Account.AVAILABLE],
        held.amount_microcredits,
        Kind.RELEASE,
        f"release:{held.pk}",
        Resolution.CLOSE,
        memo,
    )
    post([leg], held=held, actor=actor)


@transaction.atomic
def refund(team: Team, amount: int, *, key: str, reference: str, actor: User, memo: str) -> None:
    """Give spent credits back, with an author and a reason."""
    accounts = posting.accounts(team)
    leg = Leg(accounts[Account.SPENT], accounts[Account.AVAILABLE], amount, Kind.REFUND, key, memo=memo)
    post([leg], reference=reference, actor=actor)


@transaction.atomic
def adjust(team: Team, amount: int, *, key: str, actor: User, memo: str) -> None:
    """Correct what is available, up or (``amount`` below zero) down, with an author and a reason."""
    available = posting.accounts(team)[Account.AVAILABLE]
    debit, credit = (posting.issued(), available) if amount > 0 else (available, posting.issued())
    post([Leg(debit, credit, abs(amount), Kind.ADJUST, key, memo=memo)], actor=actor)


def _settle_above(held: Transfer, over: int, actor: User | None, memo: str) -> None:
    """Settle a hold in full and book the rest as owed, paid at once out of what the team has. Where that
    is too little, the next grant pays."""
    accounts = posting.locked_accounts(_team(held))
    spent, owed, available = accounts[Account.SPENT], accounts[Account.OWED], accounts[Account.AVAILABLE]
    close, excess = Resolution.CLOSE, Resolution.EXCESS
    legs = [
        Leg(
            accounts[Account.HELD],
            spent,
            held.amount_microcredits,
            Kind.SETTLE,
            f"settle:{held.pk}",
            close,
            memo,
        ),
        Leg(owed, spent, over, Kind.OVERAGE, f"overage:{held.pk}", excess, memo),
    ]
    post(legs, held=held, actor=actor)
    covers = min(available.balance_microcredits, over)
    leg = Leg(available, owed, covers, Kind.ADJUST, f"covers:{held.pk}", memo="covers an overage")
    post([leg], reference=held.reference)


def _team(held: Transfer) -> Team:
    team = held.debit.team
    if team is None:
        raise LedgerError(f"transfer {held.pk} is no hold")
    return team
