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

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from accounts.models import LedgerAccount, Team, Transfer, User

Account = LedgerAccount.Kind
Kind = Transfer.Kind
Resolution = Transfer.Resolution

# Their balances never pass zero upwards: what a team owes, and what was ever issued.
NEGATIVE = (Account.OWED, Account.ISSUED)


class LedgerError(Exception):
    """A transfer that the books refuse. Nothing was written."""


class InsufficientCreditsError(LedgerError):
    """Less is available than asked for."""

    def __init__(self, asked: int, available: int) -> None:
        super().__init__(f"{asked} micro-credits asked, {available} available")
        self.asked_microcredits = asked
        self.available_microcredits = available


class OwingError(LedgerError):
    """The team owes an overage; holds wait until it is covered."""

    def __init__(self, owed: int) -> None:
        super().__init__(f"{owed} micro-credits owed")
        self.owed_microcredits = owed


class AlreadyResolvedError(LedgerError):
    """The hold was settled or released before."""


class DuplicateKeyError(LedgerError):
    """A transfer with this idempotency key exists."""


@dataclass(frozen=True)
class Balances:
    """A team's four figures, in micro-credits and all zero or above."""

    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0


@dataclass(frozen=True)
class Leg:
    """One transfer to write. Amounts of zero are left out by ``_post``."""

    debit: LedgerAccount
    credit: LedgerAccount
    amount: int
    kind: Kind
    key: str
    resolution: str = ""
    memo: str = ""


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
    accounts = _locked_accounts(team)
    owed = accounts[Account.OWED]
    covers = min(amount, -owed.balance_microcredits)
    legs = [
        Leg(_issued(), owed, covers, Kind.GRANT, f"{key}:covers", memo=memo),
        Leg(_issued(), accounts[Account.AVAILABLE], amount - covers, Kind.GRANT, key, memo=memo),
    ]
    _post(legs, actor=actor)


@transaction.atomic
def hold(team: Team, amount: int, *, key: str, reference: str, actor: User | None = None) -> Transfer:
    """Set credits aside for one call; raises InsufficientCreditsError or OwingError.

    What is owed is read without a lock: an overage booked just then counts as booked just after.
    """
    accounts = _accounts(team)
    if accounts[Account.OWED].balance_microcredits:
        raise OwingError(-accounts[Account.OWED].balance_microcredits)
    leg = Leg(accounts[Account.AVAILABLE], accounts[Account.HELD], amount, Kind.HOLD, key)
    return _post([leg], reference=reference, actor=actor)[0]


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
    accounts = _accounts(_team(held))
    source, spent, available = accounts[Account.HELD], accounts[Account.SPENT], accounts[Account.AVAILABLE]
    close, rest = Resolution.CLOSE, Resolution.REMAINDER
    legs = [
        Leg(source, spent, charged, Kind.SETTLE, f"settle:{held.pk}", close, memo),
        Leg(source, available, ceiling - charged, Kind.RELEASE, f"remainder:{held.pk}", rest),
    ]
    _post(legs, held=held, actor=actor)


@transaction.atomic
def release(held: Transfer, *, actor: User | None = None, memo: str = "") -> None:
    """End a hold by giving it back; raises AlreadyResolvedError where it has ended before."""
    accounts = _accounts(_team(held))
    leg = Leg(
        accounts[Account.HELD],
        accounts[Account.AVAILABLE],
        held.amount_microcredits,
        Kind.RELEASE,
        f"release:{held.pk}",
        Resolution.CLOSE,
        memo,
    )
    _post([leg], held=held, actor=actor)


@transaction.atomic
def refund(team: Team, amount: int, *, key: str, reference: str, actor: User, memo: str) -> None:
    """Give spent credits back, with an author and a reason."""
    accounts = _accounts(team)
    leg = Leg(accounts[Account.SPENT], accounts[Account.AVAILABLE], amount, Kind.REFUND, key, memo=memo)
    _post([leg], reference=reference, actor=actor)


@transaction.atomic
def adjust(team: Team, amount: int, *, key: str, actor: User, memo: str) -> None:
    """Correct what is available, up or (``amount`` below zero) down, with an author and a reason."""
    available = _accounts(team)[Account.AVAILABLE]
    debit, credit = (_issued(), available) if amount > 0 else (available, _issued())
    _post([Leg(debit, credit, abs(amount), Kind.ADJUST, key, memo=memo)], actor=actor)


def _settle_above(held: Transfer, over: int, actor: User | None, memo: str) -> None:
    """Settle a hold in full and book the rest as owed, paid at once out of what the team has. Where that
    is too little, the next grant pays."""
    accounts = _locked_accounts(_team(held))
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
    _post(legs, held=held, actor=actor)
    covers = min(available.balance_microcredits, over)
    leg = Leg(available, owed, covers, Kind.ADJUST, f"covers:{held.pk}", memo="covers an overage")
    _post([leg], reference=held.reference)


@transaction.atomic
def _post(
    legs: Iterable[Leg], *, held: Transfer | None = None, reference: str = "", actor: User | None = None
) -> list[Transfer]:
    """Write the transfers and move the balances, or raise and leave everything as it was.

    The rows come first, so that a key or a resolution that exists already stops the posting before a
    balance moves. Balances move in one order everywhere, a team's by primary key and *issued* last: two
    postings that meet the same accounts can't lock them crosswise.
    """
    legs = [leg for leg in legs if leg.amount]
    written = [_write(leg, held, held.reference if held else reference, actor) for leg in legs]
    moves: Counter[LedgerAccount] = Counter()
    for leg in legs:
        moves[leg.debit] -= leg.amount
        moves[leg.credit] += leg.amount
    for account in sorted(moves, key=lambda account: (account.kind == Account.ISSUED, account.pk)):
        _move(account, moves[account])
    return written


def _write(leg: Leg, held: Transfer | None, reference: str, actor: User | None) -> Transfer:
    row = Transfer(
        debit=leg.debit,
        credit=leg.credit,
        amount_microcredits=leg.amount,
        kind=leg.kind,
        idempotency_key=leg.key,
        hold=held,
        resolution=leg.resolution,
        reference=reference,
        actor=actor,
        memo=leg.memo,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if held and held.resolutions.exists():
            raise AlreadyResolvedError(str(held.pk)) from error
        if Transfer.objects.filter(idempotency_key=leg.key).exists():
            raise DuplicateKeyError(leg.key) from error
        raise
    return row


def _move(account: LedgerAccount, delta: int) -> None:
    """One conditional UPDATE; its count says whether the balance allowed it."""
    bound = "balance_microcredits__lte" if account.kind in NEGATIVE else "balance_microcredits__gte"
    row = LedgerAccount.objects.filter(pk=account.pk)
    if not row.filter(**{bound: -delta}).update(balance_microcredits=F("balance_microcredits") + delta):
        raise InsufficientCreditsError(abs(delta), abs(row.get().balance_microcredits))


def _accounts(team: Team) -> dict[str, LedgerAccount]:
    """The team's four accounts, opened on first use."""
    found = {account.kind: account for account in team.ledger_accounts.all()}
    missing = [kind for kind in Account if kind != Account.ISSUED and kind not in found]
    if not missing:
        return found
    LedgerAccount.objects.bulk_create(
        [LedgerAccount(team=team, kind=kind) for kind in missing], ignore_conflicts=True
    )
    return {account.kind: account for account in team.ledger_accounts.all()}


def _issued() -> LedgerAccount:
    return LedgerAccount.objects.get_or_create(team=None, kind=Account.ISSUED)[0]


def _locked_accounts(team: Team) -> dict[str, LedgerAccount]:
    """The accounts as they stand, locked in order to the end of the transaction, for a posting whose
    amounts follow from a balance. (SQLite locks the whole file instead.)"""
    _accounts(team)
    rows = LedgerAccount.objects.select_for_update().filter(team=team).order_by("pk")
    return {account.kind: account for account in rows}


def _team(held: Transfer) -> Team:
    team = held.debit.team
    if team is None:
        raise LedgerError(f"transfer {held.pk} is no hold")
    return team
