"""The account at the upstream of the settings, over time."""

from django.conf import settings

from jobs.audit.reconcile.calls import calls
from jobs.audit.reconcile.periods import Statement, statement
from jobs.models import Attempt, BalanceSnapshot, Purchase
from jobs.search.date_range import DateRange

ALWAYS = DateRange()


def balances(span: DateRange = ALWAYS) -> Statement:
    """The periods of this upstream that have a part in the span, reckoned over all attempts."""
    upstream = settings.PIXIAN_API_URL
    if not BalanceSnapshot.objects.filter(upstream=upstream).exists():
        return Statement()
    purchases = Purchase.objects.filter(upstream=upstream).order_by("bought_at")
    snapshots = BalanceSnapshot.objects.defer("answer").order_by("came_at")
    told = statement(upstream, snapshots, calls(Attempt.objects.all()), purchases)
    told.periods = [
        period for period in told.periods if span.overlaps(period.opening.came_at, period.closing.asked_at)
    ]
    return told
