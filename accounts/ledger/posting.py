"""Write a team's transfers and balances under one lock, in plain SQL.

``accounts.ledger.operations`` says what each kind of transfer means, and posts it here::

    with posting.locked(team.pk) as books:
        if books.balance(Account.OWED):
            raise OwingError
        books.post([Leg(Account.AVAILABLE, Account.HELD, amount, Kind.HOLD, key)])

All of a team's accounts are locked before anything else. A decision can therefore rest on the balances of
``books``, and two postings never lock each other crosswise, not even if one transaction posts twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from accounts.models import ApiKey, LedgerAccount, Transfer, User

Account = LedgerAccount.Kind

# Their balances never rise above zero: what a team owes, and all that was ever issued.
NEGATIVE = (Account.OWED, Account.ISSUED)

# In plain SQL, because a busy team's postings wait for each other, and the ORM would be most of that wait.
#
# After a wait for the lock, PostgreSQL rereads the rows that it locks, so the balances are current. But a
# join or a sub-select answers from the snapshot taken before the wait: whatever else a posting rests on is
# read after this, in a statement of its own. (LOCK_BY_ACCOUNT may have one: accounts never change teams.)
LOCK = """
SELECT kind, id, balance_microcredits, team_id FROM accounts_ledgeraccount WHERE team_id = {team} ORDER BY id
"""
LOCK_BY_TEAM = LOCK.format(team="%s")
LOCK_BY_ACCOUNT = LOCK.format(team="(SELECT team_id FROM accounts_ledgeraccount WHERE id = %s)")
COLUMNS = [field.attname for field in Transfer._meta.concrete_fields if not field.primary_key]
# It also says if the team has any allowances, so that a posting of a team that has none needn't ask.
INSERT = """
INSERT INTO accounts_transfer ({columns}) VALUES {rows} ON CONFLICT DO NOTHING
RETURNING id, EXISTS (SELECT 1 FROM accounts_allowance WHERE team_id = %s)
"""
MOVE = """
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits + moved.column2
FROM (VALUES {rows}) AS moved
WHERE id = moved.column1 AND (balance_microcredits + moved.column2) * moved.column3 >= 0
"""


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


class LockedAccount(NamedTuple):
    """An account as it stands under the lock."""

    kind: str
    pk: int
    balance: int
    team_id: int | None

    def allows(self, change: int) -> bool:
        """Return True if the balance would keep its sign."""
        return (self.balance + change) * self.sign >= 0

    @property
    def sign(self) -> int:
        return -1 if self.kind in NEGATIVE else 1


class Leg(NamedTuple):
    """One transfer to write, between the team's accounts or *issued*; with a resolution, it ends the hold."""

    debit: str
    credit: str
    amount: int
    kind: Transfer.Kind
    key: str
    resolution: str = ""
    memo: str = ""


@dataclass
class Books:
    """A team's accounts, by kind, as they stood when they were locked to the end of the transaction.

    has_allowances: known once a transfer is written.
    """

    cursor: CursorWrapper
    accounts: dict[str, LockedAccount]
    has_allowances: bool = False

    @property
    def team_id(self) -> int:
        return self.accounts[Account.AVAILABLE].team_id or 0

    def balance(self, kind: str) -> int:
        """Return how many micro-credits an account holds, or owes, as a positive number."""
        return abs(self.accounts[kind].balance)

    def post(
        self,
        legs: Iterable[Leg],
        *,
        held: Transfer | None = None,
        reference: str = "",
        actor: User | None = None,
    ) -> list[Transfer]:
        """Write the transfers, and move the balances by them; raise what ``write`` and ``move`` raise."""
        legs = [*legs]
        transfers = self.write(legs, held=held, reference=reference, actor=actor)
        self.move(legs)
        return transfers

    def write(
        self,
        legs: Iterable[Leg],
        *,
        held: Transfer | None = None,
        reference: str = "",
        actor: User | None = None,
        api_key: ApiKey | None = None,
        at: datetime | None = None,
    ) -> list[Transfer]:
        """Write and return the transfers, those of zero left out. ``move`` the balances then.

        The transfers come first: a repetition is refused as such, whatever the balances are by now. Raise
        AlreadyResolvedError or DuplicateKeyError.
        """
        legs = [leg for leg in legs if leg.amount]
        if Account.ISSUED in chain(*(leg[:2] for leg in legs)):
            self.accounts[Account.ISSUED] = issued()
        common = {
            "reference": held.reference if held else reference,
            "actor": actor,
            "api_key_id": held.api_key_id if held else api_key.pk if api_key else None,
            "created_at": at or timezone.now(),
        }
        transfers = [
            self._transfer(leg, held, available_microcredits=available, **common)
            for leg, available in zip(legs, self._available_after(legs), strict=True)
        ]
        if transfers:
            self._insert(transfers, held)
        return transfers

    def _transfer(self, leg: Leg, held: Transfer | None, **common: Any) -> Transfer:
        by_holder = held.actor_id if held else common["actor"] and common["actor"].pk
        return Transfer(
            debit_id=self.accounts[leg.debit].pk,
            credit_id=self.accounts[leg.credit].pk,
            amount_microcredits=leg.amount,
            kind=leg.kind,
            idempotency_key=leg.key,
            hold_id=held.pk if held and leg.resolution else None,
            resolution=leg.resolution,
            memo=leg.memo,
            team_id=self.team_id,
            spender_id=by_holder if held or leg.kind == Transfer.Kind.HOLD else None,
            **common,
        )

    def _available_after(self, legs: Iterable[Leg]) -> Iterator[int]:
        """Yield what the team has available after each of the transfers, if ``move`` succeeds then."""
        balance = self.accounts[Account.AVAILABLE].balance
        for leg in legs:
            balance += leg.amount * ((leg.credit == Account.AVAILABLE) - (leg.debit == Account.AVAILABLE))
            yield balance

    def _insert(self, transfers: list[Transfer], held: Transfer | None) -> None:
        values = [value for transfer in transfers for value in _values(transfer)]
        row = f"({', '.join(['%s'] * len(COLUMNS))})"
        rows = ", ".join([row] * len(transfers))
        statement = INSERT.format(columns=", ".join(COLUMNS), rows=rows)
        self.cursor.execute(statement, [*values, self.team_id])
        returned = self.cursor.fetchall()
        written = [pk for pk, _ in returned]
        self.has_allowances = any(has_allowances for _, has_allowances in returned)
        if len(written) < len(transfers):
            _refuse(transfers, written, held)
        for transfer, pk in zip(transfers, written, strict=True):
            transfer.pk = pk
            transfer._state.adding, transfer._state.db = False, connection.alias

    def move(self, legs: Iterable[Leg]) -> None:
        """Move the balances by transfers that are written; raise InsufficientCreditsError."""
        changes: Counter[LockedAccount] = Counter()
        for leg in filter(lambda leg: leg.amount, legs):
            changes[self.accounts[leg.debit]] -= leg.amount
            changes[self.accounts[leg.credit]] += leg.amount
        if not changes:
            return
        rows = [(account.pk, change, account.sign) for account, change in changes.items()]
        self.cursor.execute(MOVE.format(rows=", ".join(["(%s, %s, %s)"] * len(rows))), [*chain(*rows)])
        if self.cursor.rowcount == len(rows):
            return
        for account, change in changes.items():
            if not account.allows(change):
                raise InsufficientCreditsError(abs(change), abs(account.balance))
        raise LedgerError("a balance changed under its lock")


@contextmanager
def locked(team_id: int) -> Iterator[Books]:
    """Lock the team's accounts to the end of the transaction; open them on first use."""
    with transaction.atomic(), connection.cursor() as cursor:
        accounts = lock(cursor, LOCK_BY_TEAM, team_id)
        kinds = [kind for kind in Account if kind != Account.ISSUED]
        if len(accounts) < len(kinds):
            opened = [LedgerAccount(team_id=team_id, kind=kind) for kind in kinds]
            LedgerAccount.objects.bulk_create(opened, ignore_conflicts=True)
            accounts = lock(cursor, LOCK_BY_TEAM, team_id)
        yield Books(cursor, accounts)


@contextmanager
def locked_for(held: Transfer) -> Iterator[Books]:
    """Lock the accounts of the team that a hold is of."""
    with transaction.atomic(), connection.cursor() as cursor:
        accounts = lock(cursor, LOCK_BY_ACCOUNT, held.debit_id)
        if not accounts:
            raise LedgerError(f"transfer {held.pk} is not a hold")
        yield Books(cursor, accounts)


def lock(cursor: CursorWrapper, statement: str, key: int) -> dict[str, LockedAccount]:
    """Lock a team's accounts in the order of their ids, and return them by kind."""
    # SQLite lets one writer in at a time: the transaction has locked the whole file.
    lock_rows = "FOR UPDATE" if connection.features.has_select_for_update else ""
    cursor.execute(f"{statement} {lock_rows}", [key])
    return {row[0]: LockedAccount(*row) for row in cursor.fetchall()}


def issued() -> LockedAccount:
    """Return the account that all credits come from. It is of no team, and isn't locked."""
    account, _ = LedgerAccount.objects.get_or_create(team=None, kind=Account.ISSUED)
    return LockedAccount(Account.ISSUED, account.pk, account.balance_microcredits, None)


def _values(transfer: Transfer) -> list[Any]:
    created_at = connection.ops.adapt_datetimefield_value(transfer.created_at)
    values = vars(transfer) | {"created_at": created_at}
    return [values[column] for column in COLUMNS]


def _refuse(transfers: list[Transfer], written: list[int], held: Transfer | None) -> None:
    """Raise the error for transfers of which not all could be written, because others exist already."""
    if held and held.resolutions.exclude(pk__in=written).exists():
        raise AlreadyResolvedError(str(held.pk))
    keys = [transfer.idempotency_key for transfer in transfers]
    others = Transfer.objects.filter(idempotency_key__in=keys).exclude(pk__in=written)
    raise DuplicateKeyError(", ".join(others.values_list("idempotency_key", flat=True)))
