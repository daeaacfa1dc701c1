"""Name the accounts that calls were sent to: each is a book of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import BalanceSnapshot, UpstreamAccount


@dataclass(frozen=True)
class Book:
    """The settings' account, None if it was never used, and the one whose book ended when this one began."""

    account: UpstreamAccount | None
    before: UpstreamAccount | None

    def says(self) -> Iterator[str]:
        """Yield sentences for a terminal."""
        if self.account:
            since = timezone.localtime(self.account.first_used_at)
            yield f"The book of {self.account}, used since {since:%Y-%m-%d %H:%M}."
        if self.before:
            yield f"A new book begins: before, calls went to {self.before}, which has a book of its own."


def with_balances() -> QuerySet[UpstreamAccount]:
    """Return the accounts that have a balance, the newest first."""
    return UpstreamAccount.objects.filter(pk__in=BalanceSnapshot.objects.values("account")).order_by("-pk")


def current_book() -> Book:
    """Return the book of the settings' account."""
    account = UpstreamAccount.objects.of_settings()
    others = with_balances().order_by("-first_used_at", "-pk")
    if account:
        others = others.filter(first_used_at__lte=account.first_used_at).exclude(pk=account.pk)
    return Book(account, others.first())
