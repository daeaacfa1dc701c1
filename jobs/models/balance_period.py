"""Keep what happened between two balances of the upstream account, so that a page needn't read every call."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import F

from jobs.models.attempt import Attempt
from jobs.models.upstream_account import BalanceSnapshot, UpstreamAccount

LONGEST_CALL = timedelta(hours=6)
"""No call is charged later than this after it was sent, even if a frozen process reads its answer later."""


class BalancePeriodQuerySet(models.QuerySet["BalancePeriod"]):
    def of_account(self, account_id: int) -> Self:
        """Select the account's periods."""
        # Their balances are the account's too. With that said, those balances' index finds the newest ones.
        return self.filter(account=account_id, closing__account=account_id)

    def outdate(self, account_id: int | None, since: datetime, until: datetime) -> None:
        """Have the periods computed again that overlap these times, in the transaction of what changed there.

        account_id: None for a call from before accounts were recorded, which may be any account's.
        """
        rows = self.filter(closing__came_at__gte=since, opening__asked_at__lte=until)
        if account_id is not None:
            rows = rows.of_account(account_id)
        # Locked in order, so that two decisions about the same periods never wait for each other.
        locked = list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        self.filter(pk__in=locked).update(is_final=False, changes=F("changes") + 1)

    def outdate_for(self, attempt: Attempt) -> None:
        """Have the periods computed again that a call may have been charged in; see ``outdate``."""
        account, sent_at = Attempt.objects.values_list("account", "sent_at").get(pk=attempt.pk)
        if sent_at:
            self.outdate(account, sent_at, sent_at + LONGEST_CALL)


class BalancePeriod(models.Model):
    """The time between two balances of an account, with what happened in it. Amounts are in micro-credits.

    It is derived from the attempts and purchases in between: ``jobs.audit.reconcile.book`` writes it when the
    closing balance comes and again when something in it changes. A call counts in the period in which it
    began. flying_in, flying_out: calls and purchases under way when the opening or the closing balance was
    asked for. flying_in_credits, flying_out_credits: by how much those may raise or lower what is missing,
    since they may count in one period and have been charged in another. in_doubt: calls of unknown charge,
    and what is held for them.

    notable: the keys of the first calls of each kind that may explain a difference.
    is_final: nothing in it can change by itself any more. changes: how often something in it changed after
    the closing balance, so that a computation from before is told from one after it.
    """

    account = models.ForeignKey(UpstreamAccount, on_delete=models.PROTECT, db_index=False)
    opening = models.OneToOneField(BalanceSnapshot, on_delete=models.PROTECT, related_name="opens")
    closing = models.OneToOneField(BalanceSnapshot, on_delete=models.PROTECT, related_name="closes")
    calls = models.PositiveIntegerField(default=0)
    charged = models.BigIntegerField(default=0)  # by the headers, or as decided
    booked = models.BigIntegerField(default=0)  # in the teams' ledgers
    purchased = models.BigIntegerField(default=0)
    in_doubt = models.PositiveIntegerField(default=0)
    held_in_doubt = models.BigIntegerField(default=0)
    flying_in = models.PositiveIntegerField(default=0)
    flying_in_credits = models.BigIntegerField(default=0)
    flying_out = models.PositiveIntegerField(default=0)
    flying_out_credits = models.BigIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)  # released after a 5xx, as probably not charged
    notable = models.JSONField(default=dict)  # {kind: [primary keys of attempts]}
    is_final = models.BooleanField(default=False)
    changes = models.PositiveIntegerField(default=0)
    computed_at = models.DateTimeField(null=True)

    objects: ClassVar[BalancePeriodQuerySet] = BalancePeriodQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes = (
            models.Index(fields=["account", "-closing"], name="period_in_order"),
            models.Index(fields=["account"], condition=models.Q(is_final=False), name="period_open"),
        )

    def __str__(self) -> str:
        return f"{self.account_id}: {self.opening_id} to {self.closing_id}"

    @property
    def expected(self) -> int:
        """The expected closing balance, by the opening one, the charges and the purchases."""
        return self.opening.microcredits + self.purchased - self.charged

    @property
    def missing(self) -> int:
        """The micro-credits that left the account unexplained; negative if it has too many."""
        return self.expected - self.closing.microcredits

    @property
    def difference(self) -> int:
        """The closing balance less what it should be."""
        return -self.missing
