"""Follow the balance of the configured upstream account over time."""

from django.conf import settings

from jobs.audit.reconcile.calls import calls
from jobs.audit.reconcile.periods import Statement, statement
from jobs.models import Attempt, BalanceSnapshot, Purchase
from jobs.search.date_range import DateRange

ALWAYS = DateRange()


def balances(span: DateRange = ALWAYS) -> Statement:
    """Return this upstream's periods that overlap the span, computed from all attempts."""
    upstream = settings.PIXIAN_API_URL
    if not BalanceSnapshot.objects.filter(upstream=upstream).exists():
        return Statement()
    purchases = Purchase.objects.filter(upstream=upstream).order_by("bought_at")
    snapshots = BalanceSnapshot.objects.defer("answer").order_by("came_at")
    account = statement(upstream, snapshots, calls(Attempt.objects.all()), purchases)
    account.periods = [
        period for period in account.periods if span.overlaps(period.opening.came_at, period.closing.asked_at)
    ]
    return account
