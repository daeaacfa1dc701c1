"""Store allowances, what was spent of them, rate limits and the cache.

``accounts.ledger.allowances`` and ``accounts.rate_limits`` write these tables.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models.api_keys import ApiKey
from accounts.models.people import Membership, Team


class Allowance(models.Model):
    """Bound what a member, or a key, may spend in each period."""

    class Period(models.TextChoices):
        DAY = "day", _("day")
        WEEK = "week", _("week")
        MONTH = "month", _("month")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="allowances")
    member = models.OneToOneField(Membership, on_delete=models.CASCADE, null=True, related_name="allowance")
    api_key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, null=True, related_name="allowance")
    period = models.CharField(max_length=5, choices=Period, default=Period.MONTH)
    limit_microcredits = models.BigIntegerField()
    warn_percent = models.PositiveSmallIntegerField(default=80)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(member__isnull=True) ^ Q(api_key__isnull=True), name="allowance_of_one"
            ),
            models.CheckConstraint(condition=Q(limit_microcredits__gte=0), name="allowance_not_negative"),
            models.CheckConstraint(condition=Q(warn_percent__range=(1, 100)), name="allowance_warns_before"),
            models.CheckConstraint(
                condition=Q(period__in=["day", "week", "month"]), name="allowance_period_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.limit_microcredits} a {self.period}"


class AllowanceUse(models.Model):
    """Count what is used of an allowance in one of its periods.

    That is the holds made in the period that are still open, and what was booked for those that have ended.
    It is a roll-up of the ledger, which ``manage.py verify`` recomputes. raised_microcredits: what a manager
    granted beyond the limit, for this period only.
    """

    allowance = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="uses")
    starts_at = models.DateTimeField()
    renews_at = models.DateTimeField()
    used_microcredits = models.BigIntegerField(default=0)
    raised_microcredits = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["allowance", "starts_at"], name="allowance_use_once"),
            models.CheckConstraint(condition=Q(renews_at__gt=F("starts_at")), name="allowance_use_lasts"),
            models.CheckConstraint(condition=Q(used_microcredits__gte=0), name="allowance_use_not_negative"),
            models.CheckConstraint(
                condition=Q(raised_microcredits__gte=0), name="allowance_use_never_lowered"
            ),
        )

    def __str__(self) -> str:
        return f"{self.used_microcredits} since {self.starts_at}"


class RateLimit(models.Model):
    """Record when a key, a team or an address will have paid off its calls at its rate.

    subject: a keyed hash, see ``accounts.rate_limits``. paid_off_at: in microseconds since 1970.
    """

    subject = models.CharField(max_length=64, primary_key=True)
    paid_off_at = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.subject


class CacheEntry(models.Model):
    """Store an entry of Django's cache (``CACHES``), which counts log-ins, resets and codes.

    In the database, all processes count together, and a restart forgets nothing.
    """

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "accounts_counted"

    def __str__(self) -> str:
        return self.cache_key
