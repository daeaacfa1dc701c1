"""Follow the balance of an upstream account over time, or between two balances, by reading its calls."""

from django.db.models import Q

from jobs.audit.reconcile.calls import SERVER_FAILED, calls
from jobs.audit.reconcile.periods import Period, Statement, statement
from jobs.models import Attempt, BalanceSnapshot, Purchase, UpstreamAccount
from jobs.models.balance_period import LONGEST_CALL
from jobs.search.date_range import DateRange

ALWAYS = DateRange()


def balances(span: DateRange = ALWAYS, account: UpstreamAccount | None = None) -> Statement:
    """Return an account's periods that overlap the span, computed from all attempts.

    account: None for that of the settings.
    """
    ours = account or UpstreamAccount.objects.of_settings()
    if ours is None or not BalanceSnapshot.objects.filter(account=ours).exists():
        return Statement()
    purchases = Purchase.objects.filter(account=ours).order_by("bought_at")
    snapshots = BalanceSnapshot.objects.defer("answer").order_by("pk")
    found = statement(ours.pk, snapshots, calls(Attempt.objects.of_account(ours.pk)), purchases)
    for name in ("periods", "steps", "unbounded"):
        setattr(found, name, [each for each in getattr(found, name) if _overlaps(each, span)])
    return found


def between(opening: BalanceSnapshot, closing: BalanceSnapshot) -> Period:
    """Return the period between two balances of an account; only the attempts of that time are read."""
    account = opening.account_id
    # What was sent before counts if it may have been under way at the opening balance.
    under_way = Q(answered_at=None) | Q(answered_at__gte=opening.asked_at) | Q(status__gte=SERVER_FAILED)
    attempts = Attempt.objects.of_account(account).filter(
        Q(sent_at__gt=opening.came_at) | under_way,
        sent_at__gte=opening.asked_at - LONGEST_CALL,
        sent_at__lte=closing.came_at,
    )
    purchases = Purchase.objects.filter(
        account=account, bought_at__gte=opening.asked_at, bought_at__lte=closing.came_at
    )
    found = statement(account, [opening, closing], calls(attempts), purchases.order_by("bought_at"))
    return found.steps[0]


def _overlaps(period: Period, span: DateRange) -> bool:
    return span.overlaps(period.opening.came_at, period.closing.asked_at)
