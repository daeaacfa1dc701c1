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

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.ledger import allowances, posting
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.posting import (
    Account,
    Accounts,
    AlreadyResolvedError,
    DuplicateKeyError,
    InsufficientCreditsError,
    LedgerError,
    Leg,
    post,
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


def grant(team: Team, amount: int, *, key: str, actor: User | None = None, memo: str = "") -> None:
    """Give the team credits. What it owes is covered first."""

    def plan(accounts: Accounts) -> Iterator[Leg]:
        owed, issued = accounts[Account.OWED], posting.issued()
        covers = min(amount, -owed.balance_microcredits)
        yield Leg(issued, owed, covers, Kind.GRANT, f"{key}:covers", memo=memo)
        yield Leg(issued, accounts[Account.AVAILABLE], amount - covers, Kind.GRANT, key, memo=memo)

    post(team.pk, plan, actor=actor)


def hold(
    team: Team,
    amount: int,
    *,
    key: str,
    reference: str,
    actor: User | None = None,
    api_key: ApiKey | None = None,
) -> Transfer:
    """Set credits aside for one call; raises InsufficientCreditsError, OwingError or AllowanceUsedUpError.

    actor: who spends, and with ``api_key`` the owner of the key that does.
    """

    def plan(accounts: Accounts) -> Iterator[Leg]:
        available, now = accounts[Account.AVAILABLE], timezone.now()
        if owed := -accounts[Account.OWED].balance_microcredits:
            raise OwingError(owed)
        allowances.take(team.pk, actor, api_key, amount, now)
        yield Leg(available, accounts[Account.HELD], amount, Kind.HOLD, key, at=now)

    return post(team.pk, plan, reference=reference, actor=actor, api_key=api_key)[0]


def settle(held: Transfer, charged: int, *, actor: User | None = None, memo: str = "") -> None:
    """End a hold by what was charged; raises AlreadyResolvedError where the hold has ended before.

    Charged less than held: the rest is released. Charged more: the excess is an overage, paid at once out of
    what the team has; where that is too little the rest is owed, and the next grant pays. Charged nothing:
    a release.
    """
    if charged == 0:
        release(held, actor=actor, memo=memo)
        return
    booked = min(charged, held.amount_microcredits)
    rest, over = held.amount_microcredits - booked, charged - booked

    def plan(accounts: Accounts) -> Iterator[Leg]:
        source, spent = accounts[Account.HELD], accounts[Account.SPENT]
        available, owed = accounts[Account.AVAILABLE], accounts[Account.OWED]
        covers = min(available.balance_microcredits, over)
        allowances.correct(held, charged)
        yield Leg(source, spent, booked, Kind.SETTLE, f"settle:{held.pk}", Resolution.CLOSE, memo)
        yield Leg(source, available, rest, Kind.RELEASE, f"remainder:{held.pk}", Resolution.REMAINDER)
        yield Leg(owed, spent, over, Kind.OVERAGE, f"overage:{held.pk}", Resolution.EXCESS, memo)
        yield Leg(available, owed, covers, Kind.ADJUST, f"covers:{held.pk}", memo="covers an overage")

    post(_team_id(held), plan, held=held, actor=actor)


def release(held: Transfer, *, actor: User | None = None, memo: str = "") -> None:
    """End a hold by giving it back; raises AlreadyResolvedError where it has ended before."""

    def plan(accounts: Accounts) -> Iterator[Leg]:
        source, available, amount = (
            accounts[Account.HELD],
            accounts[Account.AVAILABLE],
            held.amount_microcredits,
        )
        allowances.correct(held, 0)
        yield Leg(source, available, amount, Kind.RELEASE, f"release:{held.pk}", Resolution.CLOSE, memo)

    post(_team_id(held), plan, held=held, actor=actor)


def refund(team: Team, amount: int, *, key: str, reference: str, actor: User, memo: str) -> None:
    """Give spent credits back, with an author and a reason."""

    def plan(accounts: Accounts) -> Iterator[Leg]:
        spent, available = accounts[Account.SPENT], accounts[Account.AVAILABLE]
        yield Leg(spent, available, amount, Kind.REFUND, key, memo=memo)

    post(team.pk, plan, reference=reference, actor=actor)


def adjust(team: Team, amount: int, *, key: str, actor: User, memo: str) -> None:
    """Correct what is available, up or (``amount`` below zero) down, with an author and a reason."""

    def plan(accounts: Accounts) -> Iterator[Leg]:
        issued, available = posting.issued(), accounts[Account.AVAILABLE]
        debit, credit = (issued, available) if amount > 0 else (available, issued)
        yield Leg(debit, credit, abs(amount), Kind.ADJUST, key, memo=memo)

    post(team.pk, plan, actor=actor)


def _team_id(held: Transfer) -> int:
    team_id = held.debit.team_id
    if team_id is None:
        raise LedgerError(f"transfer {held.pk} is no hold")
    return team_id
