"""Tell a team's transfers in plain words, as changes of what is available."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.ledger import operations as ledger
from accounts.ledger.money import display
from accounts.models import ApiKey, CreditRequest, LedgerAccount, Team, Transfer, User

Account, Kind = LedgerAccount.Kind, Transfer.Kind
PICTURE = re.compile(r"job:([0-9]{1,18}):[0-9]+")
REQUEST = re.compile(r"request:([0-9]{1,18})(:covers)?")


@dataclass(frozen=True)
class Line:
    """A transfer as the page shows it. All amounts are in micro-credits.

    person: who spends, or else who made the entry. decided_by: who ended the hold, if a person had to.
    picture: the key of the job that it is for, if any. change: of what is available; 0 for none. available:
    what there was after it.
    """

    pk: int
    at: datetime
    person: User | None
    key: ApiKey | None
    text: str
    memo: str
    decided_by: User | None
    picture: int | None
    change: int
    available: int

    @property
    def who(self) -> str:
        """The key that spends, or else the person."""
        return self.key.name if self.key else str(self.person or "")


def newest(team: Team, count: int) -> list[Line]:
    """Return the newest transfers as lines, the newest first."""
    return lines(with_names(ledger.transfers(team))[:count])


def lines(rows: Iterable[Transfer]) -> list[Line]:
    """Return transfers as lines; they should come ``with_names``."""
    rows = list(rows)
    said = memos(rows, str)
    return [_line(row, said[row.pk]) for row in rows]


def with_names(rows: QuerySet[Transfer]) -> QuerySet[Transfer]:
    """Read all that a line, or an export, says of a transfer in the same query."""
    return rows.select_related("debit", "credit", "actor", "spender", "api_key")


def last_grant(team: Team) -> int:
    """Return the micro-credits of the team's newest grant; 0 if it never got one."""
    grants = ledger.transfers(team).filter(kind=Kind.GRANT)
    return grants.values_list("amount_microcredits", flat=True).first() or 0


def change(row: Transfer) -> int:
    """Return by how many micro-credits a transfer changed what is available."""
    if row.credit.kind == Account.AVAILABLE:
        return row.amount_microcredits
    return -row.amount_microcredits if row.debit.kind == Account.AVAILABLE else 0


def picture(row: Transfer) -> int | None:
    """Return the key of the job that a transfer is for, if it is for one."""
    named = PICTURE.fullmatch(row.reference)
    return int(named[1]) if named else None


def memos(rows: Sequence[Transfer], name: Callable[[User], str]) -> dict[int, str]:
    """Return the memos by the transfers' keys; that of a grant to a request without a note says who asked.

    name: how to call that person. Older grants have the address itself as their memo, which can't be changed,
    and which an account that is deleted has no more.
    """
    keys = {row.pk: REQUEST.fullmatch(row.idempotency_key) for row in rows}
    granted = {pk: int(key[1]) for pk, key in keys.items() if key}
    without = CreditRequest.objects.filter(pk__in=set(granted.values()), note="").select_related("asked_by")
    askers = {asked.pk: name(asked.asked_by) for asked in without} if granted else {}
    return {row.pk: askers.get(granted.get(row.pk, 0), row.memo) for row in rows}


def _line(row: Transfer, memo: str) -> Line:
    return Line(
        pk=row.pk,
        at=row.created_at,
        person=row.spender or row.actor,
        key=row.api_key,
        text=_text(row),
        memo="" if _is_automatic(row) else memo,
        decided_by=row.actor if row.hold_id else None,
        picture=picture(row),
        change=change(row),
        available=row.available_microcredits,
    )


def _is_automatic(row: Transfer) -> bool:
    """Tell if the memo is the program's own, which the text says in the reader's language."""
    return row.idempotency_key.startswith(("opening:", "covers:"))


def _text(row: Transfer) -> str:
    """Say what happened; an amount that changes nothing available is part of the sentence."""
    amount = {"amount": display(row.amount_microcredits)}
    if row.credit.kind == Account.OWED:
        return _("%(amount)s paid of what the team owed") % amount
    texts = {
        Kind.GRANT: _("Opening credits") if _is_automatic(row) else _("Granted"),
        Kind.HOLD: _("Held"),
        Kind.SETTLE: _("Charged %(amount)s, out of what was held") % amount,
        Kind.OVERAGE: _("Charged %(amount)s beyond what was held") % amount,
        Kind.REFUND: _("Refunded"),
        Kind.ADJUST: _("Corrected"),
        Kind.RELEASE: _("Given back: nothing was charged"),
    }
    if row.resolution == Transfer.Resolution.REMAINDER:
        return _("Given back: less was charged than held")
    return texts[Kind(row.kind)]
