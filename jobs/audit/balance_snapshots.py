"""The balance of the account at the upstream, taken now and then for ``jobs.audit.reconcile`` to compare."""

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from jobs.audit.reconcile.calls import SERVER_FAILED, longest
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, BalanceSnapshot


def take(upstream: Upstream) -> BalanceSnapshot | None:
    """Ask and keep; None for an upstream that charges nobody. Raises what ``Client.account`` raises.

    Kept under the address of the settings, by which purchases and prices are kept too.
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
    """Whether a balance taken now could bound a period: no call is under way, or may still be charged."""
    lately = Attempt.objects.filter(sent_at__gte=timezone.now() - longest())
    return not lately.filter(Q(answered_at=None) | Q(status__gte=SERVER_FAILED)).exists()
