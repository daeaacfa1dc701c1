"""How a posting is written: rows that can't be repeated, balances that can't be overdrawn.

Below ``accounts.ledger``, which alone calls it and says what each kind of transfer means.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import LedgerAccount, Team, Transfer, User

Account = LedgerAccount.Kind

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


class AlreadyResolvedError(LedgerError):
    """The hold was settled or released before."""


class DuplicateKeyError(LedgerError):
    """A transfer with this idempotency key exists."""


@dataclass(frozen=True)
class Leg:
    """One transfer to write. Amounts of zero are left out by ``post``."""

    debit: LedgerAccount
    credit: LedgerAccount
    amount: int
    kind: Transfer.Kind
    key: str
    resolution: str = ""
    memo: str = ""


@transaction.atomic
def post(
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


def accounts(team: Team) -> dict[str, LedgerAccount]:
    """The team's four accounts, opened on first use."""
    found = {account.kind: account for account in team.ledger_accounts.all()}
    missing = [kind for kind in Account if kind != Account.ISSUED and kind not in found]
    if not missing:
        return found
    LedgerAccount.objects.bulk_create(
        [LedgerAccount(team=team, kind=kind) for kind in missing], ignore_conflicts=True
    )
    return {account.kind: account for account in team.ledger_accounts.all()}


def issued() -> LedgerAccount:
    return LedgerAccount.objects.get_or_create(team=None, kind=Account.ISSUED)[0]


def locked_accounts(team: Team) -> dict[str, LedgerAccount]:
    """The accounts as they stand, locked in order to the end of the transaction, for a posting whose
    amounts follow from a balance. (SQLite locks the whole file instead.)"""
    accounts(team)  # opens what is missing
    rows = LedgerAccount.objects.select_for_update().filter(team=team).order_by("pk")
    return {account.kind: account for account in rows}
