"""How a posting is written: rows that can't be repeated, balances that can't be overdrawn.

Below ``accounts.ledger.operations``, which alone calls it and says what each kind of transfer means.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import ApiKey, LedgerAccount, Transfer, User

Account = LedgerAccount.Kind

# Their balances never pass zero upwards: what a team owes, and what was ever issued.
NEGATIVE = (Account.OWED, Account.ISSUED)

# In plain SQL, since a busy team waits for each posting and most of it would be the making of these two.
# LOCK asks for nothing but the rows it locks: PostgreSQL rereads those after the wait, and answers all else
# (a sub-select, a join) from the snapshot that the statement took before it.
LOCK = """
SELECT id, team_id, kind, balance_microcredits FROM accounts_ledgeraccount WHERE team_id = %s ORDER BY id
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


@dataclass(frozen=True)
class Leg:
    """One transfer to write; with a resolution it ends the hold. Amounts of zero are left out. at: now, if
    the plan doesn't say."""

    debit: LedgerAccount
    credit: LedgerAccount
    amount: int
    kind: Transfer.Kind
    key: str
    resolution: str = ""
    memo: str = ""
    at: datetime | None = None


Accounts = Mapping[str, LedgerAccount]
"""A team's four, by kind."""

Plan = Callable[[Accounts], Iterable[Leg]]
"""From the accounts as they stand to what is to be posted."""


def post(
    team_id: int,
    plan: Plan,
    *,
    held: Transfer | None = None,
    reference: str = "",
    actor: User | None = None,
    api_key: ApiKey | None = None,
) -> list[Transfer]:
    """Write the transfers that are planned and move the balances, or raise and leave all as it was.

    All of the team's accounts are locked before anything else: the plan may count on the balances it is
    shown, and two postings can't lock each other crosswise, not even where a transaction posts twice. The
    rows come before the balances, so that a key or a resolution that exists already stops the posting.
    """
    legs: list[Leg] = []
    try:
        with transaction.atomic():
            legs += [leg for leg in plan(locked_accounts(team_id)) if leg.amount]
            shared = {"reference": held.reference if held else reference, "actor": actor, "api_key": api_key}
            rows = Transfer.objects.bulk_create(_row(leg, held, shared) for leg in legs)
            if legs:
                _move(legs)
    except IntegrityError as error:
        if held and held.resolutions.exists():
            raise AlreadyResolvedError(str(held.pk)) from error
        keys = [leg.key for leg in legs]
        if used := Transfer.objects.filter(idempotency_key__in=keys).first():
            raise DuplicateKeyError(used.idempotency_key) from error
        raise
    return rows


def issued() -> LedgerAccount:
    return LedgerAccount.objects.get_or_create(team=None, kind=Account.ISSUED)[0]


def locked_accounts(team_id: int) -> dict[str, LedgerAccount]:
    """The team's four accounts, opened on first use, and locked in one order everywhere to the end of the
    transaction. (SQLite has locked the whole file by then.) Whatever else a posting rests on is read after
    this, in a statement of its own."""
    lock = f"{LOCK} FOR UPDATE" if connection.features.has_select_for_update else LOCK
    accounts = {account.kind: account for account in LedgerAccount.objects.raw(lock, [team_id])}
    missing = [kind for kind in Account if kind != Account.ISSUED and kind not in accounts]
    if not missing:
        return accounts
    LedgerAccount.objects.bulk_create(
        [LedgerAccount(team_id=team_id, kind=kind) for kind in missing], ignore_conflicts=True
    )
    return locked_accounts(team_id)


def _row(leg: Leg, held: Transfer | None, shared: dict[str, Any]) -> Transfer:
    return Transfer(
        debit=leg.debit,
        credit=leg.credit,
        amount_microcredits=leg.amount,
        kind=leg.kind,
        idempotency_key=leg.key,
        hold=held if leg.resolution else None,
        resolution=leg.resolution,
        memo=leg.memo,
        created_at=leg.at or timezone.now(),
        **shared,
    )


def _move(legs: list[Leg]) -> None:
    """One conditional UPDATE; its count says whether every balance allowed it."""
    moves: Counter[LedgerAccount] = Counter()
    for leg in legs:
        moves[leg.debit] -= leg.amount
        moves[leg.credit] += leg.amount
    rows = [(account.pk, delta, _sign(account)) for account, delta in moves.items()]
    with connection.cursor() as cursor:
        cursor.execute(MOVE.format(rows=", ".join(["(%s, %s, %s)"] * len(rows))), [*chain(*rows)])
        if cursor.rowcount == len(rows):
            return
    for account, delta in moves.items():
        if (account.balance_microcredits + delta) * _sign(account) < 0:
            raise InsufficientCreditsError(abs(delta), abs(account.balance_microcredits))
    raise LedgerError("a balance changed under its lock")


def _sign(account: LedgerAccount) -> int:
    return -1 if account.kind in NEGATIVE else 1
