"""The books by themselves: balances against transfers, holds against attempts."""

from collections import Counter
from collections.abc import Iterator

from accounts.models import LedgerAccount, Transfer
from jobs.models import Attempt


def unbalanced() -> Iterator[str]:
    """What doesn't add up, as plain sentences."""
    yield from _balances()
    yield from _holds()


def _balances() -> Iterator[str]:
    moved: Counter[int] = Counter()
    for debit, credit, amount in Transfer.objects.values_list("debit", "credit", "amount_microcredits"):
        moved[debit] -= amount
        moved[credit] += amount
    accounts = list(LedgerAccount.objects.select_related("team"))
    for account in accounts:
        if account.balance_microcredits != moved[account.pk]:
            yield f"{account} has {account.balance_microcredits}, its transfers make {moved[account.pk]}"
    if total := sum(account.balance_microcredits for account in accounts):
        yield f"all balances make {total}"


def _holds() -> Iterator[str]:
    """A hold is open where its attempt is in doubt, and nothing else is held."""
    holds = Transfer.objects.filter(kind=Transfer.Kind.HOLD)
    ended = Transfer.objects.filter(resolution=Transfer.Resolution.CLOSE).values("hold")
    still_open = {hold.pk: hold for hold in holds.exclude(pk__in=ended)}
    doubted = dict(Attempt.objects.filter(state=Attempt.State.IN_DOUBT).values_list("hold", "pk"))
    yield from (
        f"hold {pk} ({still_open[pk].reference}) is open" for pk in still_open.keys() - doubted.keys()
    )
    yield from (
        f"attempt {doubted[pk]} is in doubt without a hold" for pk in doubted.keys() - still_open.keys()
    )
    held: Counter[int] = Counter()
    for hold in still_open.values():
        held[hold.credit_id] += hold.amount_microcredits
    for account in LedgerAccount.objects.filter(kind=LedgerAccount.Kind.HELD):
        if account.balance_microcredits != held[account.pk]:
            yield f"{account}: {account.balance_microcredits} held, {held[account.pk]} by open holds"
