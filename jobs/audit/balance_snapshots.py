"""Record the balance of the upstream account from time to time, for ``jobs.audit.reconcile`` to compare."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from jobs.audit.reconcile import book
from jobs.audit.reconcile.calls import SERVER_FAILED, longest
from jobs.calls import accounts
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, BalanceSnapshot, UpstreamAccount

EVERY = timedelta(hours=1)
PATIENCE = timedelta(minutes=10)
"""How long a balance that is due waits for the instance to be quiet."""


def take(upstream: Upstream) -> BalanceSnapshot | None:
    """Ask for the balance and store it; return None for an upstream that doesn't charge.

    It is stored under the settings' account, and ends a period of it. Raises what ``Client.account`` raises.
    """
    if not upstream.charges:
        return None
    asked_at = timezone.now()
    account = upstream.client.account()
    account_id = accounts.current_id()
    snapshot = book.close(account_id, asked_at, timezone.now(), account.balance, account.answer)
    book.refresh(account_id)
    return snapshot


def should_wait() -> bool:
    """Return True while a balance that is due should wait for a quiet moment, as those are exact."""
    return not is_quiet() and not _is_late()


def is_quiet() -> bool:
    """Return True if no charge can be on its way, so that each surely falls before or after the balance."""
    recent = Attempt.objects.filter(sent_at__gte=timezone.now() - longest())
    if account := UpstreamAccount.objects.of_settings():
        recent = recent.of_account(account.pk)
    return not recent.filter(Q(answered_at=None) | Q(status__gte=SERVER_FAILED)).exists()


def latest(account: UpstreamAccount | None) -> BalanceSnapshot | None:
    """Return the account's newest balance, if it has any."""
    return BalanceSnapshot.objects.filter(account=account).order_by("-came_at").first() if account else None


def _is_late() -> bool:
    account = UpstreamAccount.objects.of_settings()
    if account is None:
        return False
    newest = latest(account)
    due = newest.came_at + EVERY if newest else account.first_used_at
    return timezone.now() >= due + PATIENCE
