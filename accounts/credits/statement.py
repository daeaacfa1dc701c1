"""Tell the team's newest transfers in plain words, as changes of what is available."""

import re
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from accounts.ledger.money import display
from accounts.models import LedgerAccount, Team, Transfer

Account, Kind = LedgerAccount.Kind, Transfer.Kind
PICTURE = re.compile(r"job:([0-9]+):[0-9]+")


@dataclass(frozen=True)
class Line:
    """A transfer as the page shows it. change: of what is available, in micro-credits; 0 for none.

    picture: the key of the job that it is for, if any.
    """

    at: datetime
    who: str
    text: str
    memo: str
    change: int
    picture: int | None


def newest(team: Team, count: int) -> list[Line]:
    """Return the newest transfers as lines, the newest first."""
    rows = Transfer.objects.filter(pk__in=_newest_keys(team, count)).order_by("-pk")
    related = rows.select_related("debit", "credit", "actor", "api_key", "hold__actor", "hold__api_key")
    return [_line(row) for row in related]


def last_grant(team: Team) -> int:
    """Return the micro-credits of the team's newest grant; 0 if it never got one."""
    accounts = team.ledger_accounts.values("pk")
    grants = Transfer.objects.filter(credit__in=accounts, kind=Kind.GRANT).order_by("-pk")
    return grants.values_list("amount_microcredits", flat=True).first() or 0


def _newest_keys(team: Team, count: int) -> list[int]:
    """Merge each account's newest debits and credits, which an index has in order.

    For all of them at once the database might read every transfer there is.
    """
    keys = set[int]()
    for account in _accounts(team):
        for side in ("debit", "credit"):
            listed = Transfer.objects.filter(**{side: account}).order_by("-pk")
            keys.update(listed.values_list("pk", flat=True)[:count])
    return sorted(keys, reverse=True)[:count]


def _accounts(team: Team) -> list[int]:
    return list(team.ledger_accounts.values_list("pk", flat=True))


def _line(row: Transfer) -> Line:
    begun = row.hold or row  # the hold names the spender, and its resolutions don't
    who = begun.api_key.name if begun.api_key else str(row.actor or begun.actor or "")
    named = PICTURE.fullmatch(row.reference)
    memo = "" if _is_automatic(row) else row.memo
    return Line(row.created_at, who, _text(row), memo, _change(row), int(named[1]) if named else None)


def _is_automatic(row: Transfer) -> bool:
    """Tell if the memo is the program's own, which the text says in the reader's language."""
    return row.idempotency_key.startswith(("opening:", "covers:"))


def _change(row: Transfer) -> int:
    if row.credit.kind == Account.AVAILABLE:
        return row.amount_microcredits
    return -row.amount_microcredits if row.debit.kind == Account.AVAILABLE else 0


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
