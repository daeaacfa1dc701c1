"""Check invariants 1 to 4: the ledger by itself, and its holds against the attempts."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db.models import Case, Count, F, FilteredRelation, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce, Greatest, Least

from accounts.ledger.money import to_credits
from accounts.models import LedgerAccount, Transfer
from jobs.models import Attempt
from jobs.models.verdicts import ending

Account = LedgerAccount.Kind
Kind = Transfer.Kind
Resolution = Transfer.Resolution
State = Attempt.State

ENDED = (State.BOOKED, State.RELEASED)
WAYS = {
    Kind.HOLD: (Account.AVAILABLE, Account.HELD),
    Kind.SETTLE: (Account.HELD, Account.SPENT),
    Kind.RELEASE: (Account.HELD, Account.AVAILABLE),
    Kind.OVERAGE: (Account.OWED, Account.SPENT),
}


def sides_cancel() -> Iterator[str]:
    """Check 1: a transfer moves credits between accounts of the same team, or from or to *issued*."""
    odd = Q(amount_microcredits__lte=0) | Q(debit=F("credit"))
    odd |= Q(debit__team__isnull=False, credit__team__isnull=False) & ~Q(debit__team=F("credit__team"))
    for kind, (debit, credit) in WAYS.items():
        odd |= Q(kind=kind) & ~Q(debit__kind=debit, credit__kind=credit)
    for row in Transfer.objects.filter(odd).select_related("debit__team", "credit__team").order_by("pk"):
        amount = to_credits(row.amount_microcredits)
        yield f"Transfer {row.pk} is a {row.kind} of {amount} from {row.debit} to {row.credit}."
    total = LedgerAccount.objects.aggregate(sum=Coalesce(Sum("balance_microcredits"), 0))["sum"]
    if total:
        yield f"All balances sum to {to_credits(total)} instead of 0."


def balances_add_up() -> Iterator[str]:
    """Check 2: a balance is what came in minus what went out."""
    moved: Counter[int] = Counter()
    for side, sign in (("credit", 1), ("debit", -1)):
        sums = Transfer.objects.order_by().values_list(side).annotate(Sum("amount_microcredits"))
        for account, amount in sums:
            moved[account] += sign * amount
    for row in LedgerAccount.objects.select_related("team").order_by("pk"):
        if row.balance_microcredits != moved[row.pk]:
            has, should = to_credits(row.balance_microcredits), to_credits(moved[row.pk])
            yield f"The balance of {row} is {has}, and its transfers add up to {should}."


def holds_are_attempts() -> Iterator[str]:
    """Check 3, both ways: an attempt's hold is open until it ends, and an open hold is an attempt's."""
    attempts = Attempt.objects.filter(test=False).annotate(close=ending(Resolution.CLOSE)).order_by("pk")
    under_way, ended = attempts.exclude(state__in=ENDED), attempts.filter(state__in=ENDED)
    names = ("job_id", "number", "state")
    for job, number, state in under_way.filter(close__pk__isnull=False).values_list(*names):
        yield f"Attempt {job}/{number} is {state}, and its hold has ended."
    for job, number, state in ended.filter(close__pk=None).values_list(*names):
        yield f"Attempt {job}/{number} is {state}, and its hold is open."
    close = FilteredRelation("resolutions", condition=Q(resolutions__resolution=Resolution.CLOSE))
    holds = Transfer.objects.filter(kind=Kind.HOLD, attempt=None).annotate(close=close)
    for row in holds.filter(close__pk=None).order_by("pk"):
        yield f"Hold {row.pk} of {to_credits(row.amount_microcredits)} ({row.reference}) is no attempt's."


def endings_settle() -> Iterator[str]:
    """Check 4: a known charge is settled up to the hold, the rest released, and any excess an overage."""
    parts = Transfer.objects.filter(hold__isnull=False).order_by().values_list("hold", "resolution")
    for hold, part, count in parts.annotate(count=Count("pk")).filter(count__gt=1):
        yield f"Hold {hold} was ended {count} times: {part}."
    for job, number, state, charged, *amounts in _settled_wrongly().order_by("pk"):
        figures = zip(("held", "settled", "released", "overage"), amounts, strict=True)
        charge = "no charge known" if charged is None else f"{to_credits(charged)} charged"
        yield f"Attempt {job}/{number} is {state}: {charge}, " + ", ".join(
            f"{name} {to_credits(amount)}" for name, amount in figures
        )


def _settled_wrongly() -> QuerySet[Any, Any]:
    """Return the ended attempts whose hold wasn't ended according to the known charge.

    The columns are job, number, state, charge, and what was held, settled, released and overage, in
    micro-credits. A released attempt counts as not charged, whatever its header says;
    ``jobs.audit.verify.paid`` checks that.
    """
    amount = "hold__amount_microcredits"
    attempts: QuerySet[Any] = (
        Attempt.objects.filter(state__in=ENDED)
        .annotate(
            close=ending(Resolution.CLOSE),
            remainder=ending(Resolution.REMAINDER),
            excess=ending(Resolution.EXCESS),
        )
        .filter(close__pk__isnull=False)
        .annotate(
            charged=Coalesce("resolved_microcredits", "charged_microcredits"),
            settled=_amount("close", Kind.SETTLE),
            released=_amount("close", Kind.RELEASE) + _amount("remainder", Kind.RELEASE),
            above=_amount("excess", Kind.OVERAGE),
        )
    )
    nothing = Q(state=State.RELEASED) | Q(charged=0)
    given_back = Q(settled=0, released=F(amount), above=0)
    booked = Q(
        settled=Least("charged", amount),
        released=Greatest(F(amount) - F("charged"), 0),
        above=Greatest(F("charged") - F(amount), 0),
    )
    wrong = Q(state=State.BOOKED, charged=None) | (nothing & ~given_back)
    wrong |= Q(state=State.BOOKED, charged__gt=0) & ~booked
    columns = ("job_id", "number", "state", "charged", amount, "settled", "released", "above")
    return attempts.filter(wrong).values_list(*columns)


def _amount(part: str, kind: Kind) -> Coalesce:
    """Return the micro-credits of one part of an ending if it is of this kind, else 0."""
    return Coalesce(Case(When(Q((f"{part}__kind", kind)), then=f"{part}__amount_microcredits")), 0)
