"""Record the balance of the upstream account from time to time, for ``jobs.audit.reconcile`` to compare."""

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from jobs.audit.reconcile.calls import SERVER_FAILED, longest
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, BalanceSnapshot


def take(upstream: Upstream) -> BalanceSnapshot | None:
    """Ask for the balance and store it; return None for an upstream that doesn't charge.

    It is stored under the settings' address, as purchases and prices are. Raises what ``Client.account``
    raises.
    """
    if not upstream.charges:
        return None
    asked_at = timezone.now()
    account = upstream.client.account()
    return BalanceSnapshot.objects.create(
        upstream=settings.PIXIAN_API_URL,
        asked_at=asked_at,
        came_at=timezone.now(),
        microcredits=account.balance,
        answer=account.answer,
    )


def is_quiet() -> bool:
    """Return True if a balance taken now could bound a period: no charge can be on its way."""
    recent = Attempt.objects.filter(sent_at__gte=timezone.now() - longest())
    return not recent.filter(Q(answered_at=None) | Q(status__gte=SERVER_FAILED)).exists()
