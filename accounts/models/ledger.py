"""Store the ledger. Only ``accounts.ledger.operations`` writes these tables."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.api_keys import ApiKey
from accounts.models.people import Team, User


class LedgerAccount(models.Model):
    """Hold credits. The balance is what came in minus what went out, in micro-credits."""

    class Kind(models.TextChoices):
        AVAILABLE = "available", _("available")
        HELD = "held", _("held")
        SPENT = "spent", _("spent")
        OWED = "owed", _("owed")  # zero or less: what was spent beyond the holds
        ISSUED = "issued", _("issued")  # zero or less: all that was ever granted; of no team

    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="ledger_accounts")
    kind = models.CharField(max_length=9, choices=Kind)
    balance_microcredits = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["team", "kind"], name="ledger_account_unique"),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(team=None), name="ledger_account_issued_unique"
            ),
            models.CheckConstraint(
                condition=Q(team=None, kind="issued") | (Q(team__isnull=False) & ~Q(kind="issued")),
                name="ledger_account_only_issued_has_no_team",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["owed", "issued"]) | Q(balance_microcredits__gte=0),
                name="ledger_account_not_overdrawn",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["owed", "issued"]) | Q(balance_microcredits__lte=0),
                name="ledger_account_not_overpaid",
            ),
        )

    def __str__(self) -> str:
        return f"{self.team or 'all'}: {self.kind}"


class Transfer(models.Model):
    """Record that credits moved from ``debit`` to ``credit``.

    The database refuses to change or delete a row (``accounts.ledger.triggers``). The columns from ``team``
    to ``available_microcredits`` follow from others, and let a statement be filtered and paged by an index:
    spender is who made the hold, for the hold and all that ends it. ``manage.py verify`` recomputes them.
    """

    class Kind(models.TextChoices):
        GRANT = "grant", _("granted")
        HOLD = "hold", _("held")
        SETTLE = "settle", _("settled")
        RELEASE = "release", _("released")
        OVERAGE = "overage", _("overage")
        REFUND = "refund", _("refunded")
        ADJUST = "adjust", _("adjusted")

    BOOKINGS = (Kind.SETTLE, Kind.OVERAGE)  # together, what a call was charged

    class Resolution(models.TextChoices):
        """Name the part that a transfer has in ending a hold.

        Each part exists at most once per hold, and every ending has a CLOSE, so a hold can't end twice.
        """

        CLOSE = "close"
        REMAINDER = "remainder"
        EXCESS = "excess"

    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits", db_index=False)
    credit = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="credits", db_index=False
    )
    amount_microcredits = models.BigIntegerField()
    kind = models.CharField(max_length=7, choices=Kind)
    idempotency_key = models.CharField(max_length=120, unique=True)
    hold = models.ForeignKey(  # found by ``transfer_resolves_once``
        "self", on_delete=models.PROTECT, null=True, related_name="resolutions", db_index=False
    )
    resolution = models.CharField(max_length=9, choices=Resolution, blank=True)
    reference = models.CharField(max_length=80, blank=True)  # the call that it is for, as the caller names it
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="transfers")
    # The key, if a program spends on behalf of the spender.
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, related_name="transfers", db_index=False
    )
    memo = models.CharField(max_length=400, blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    spender = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    available_microcredits = models.BigIntegerField()  # of the team, once this transfer was made
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (
            models.Index(fields=["hold"], condition=Q(kind="overage"), name="transfer_overages"),
            models.Index(fields=["team", "-id"], name="transfer_statement"),
            models.Index(fields=["team", "kind", "-id"], name="transfer_by_kind"),
            models.Index(fields=["team", "created_at"], name="transfer_by_day"),
            models.Index(
                fields=["spender", "team", "-id"],
                condition=Q(spender__isnull=False),
                name="transfer_by_spender",
            ),
            models.Index(
                fields=["api_key", "-id"], condition=Q(api_key__isnull=False), name="transfer_by_key"
            ),
        )
        constraints = (
            models.CheckConstraint(condition=Q(amount_microcredits__gt=0), name="transfer_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_between_two"),
            models.UniqueConstraint(fields=["hold", "resolution"], name="transfer_resolves_once"),
            models.CheckConstraint(
                condition=Q(hold=None, resolution="") | (Q(hold__isnull=False) & ~Q(resolution="")),
                name="transfer_resolution_names_its_hold",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["settle", "release", "overage"]) | Q(hold__isnull=False),
                name="transfer_ends_a_hold",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["refund", "adjust"]) | ~Q(memo=""), name="transfer_gives_a_reason"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_microcredits}"
