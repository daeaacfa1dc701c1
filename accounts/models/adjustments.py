"""Store changes of credits that wait for a second person. ``accounts.credits.adjustments`` writes them."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.audit import MAX_REASON
from accounts.models.people import Team, User


class AdjustmentQuerySet(models.QuerySet["Adjustment"]):
    def waiting(self) -> Self:
        """Select those that no second person has decided yet."""
        return self.filter(decided_at=None)


class Adjustment(models.Model):
    """A change of credits above the amount that one person may make alone.

    key: the idempotency key of the transfer that it becomes, so that it is posted once however often the form
    is sent. reference: the call that it is for, if any. microcredits: below zero to take credits away.
    """

    class Kind(models.TextChoices):
        ADJUST = "adjust", _("correction")
        REFUND = "refund", _("refund")
        WRITE_OFF = "write_off", _("write-off")

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="adjustments")
    kind = models.CharField(max_length=9, choices=Kind)
    microcredits = models.BigIntegerField()
    reason = models.CharField(max_length=MAX_REASON)
    reference = models.CharField(max_length=80, blank=True)
    key = models.CharField(max_length=120, unique=True)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    asked_at = models.DateTimeField(default=timezone.now)

    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)
    answer = models.CharField(max_length=MAX_REASON, blank=True)

    objects = AdjustmentQuerySet.as_manager()

    class Meta:
        indexes = (models.Index(fields=["team"], condition=Q(decided_at=None), name="adjustment_waiting"),)
        constraints = (
            models.CheckConstraint(condition=~Q(microcredits=0), name="adjustment_of_something"),
            models.CheckConstraint(condition=~Q(reason=""), name="adjustment_gives_a_reason"),
            models.CheckConstraint(
                condition=Q(kind="adjust") | Q(microcredits__gt=0), name="adjustment_gives_back"
            ),
            models.CheckConstraint(
                condition=Q(decided_at=None, decided_by=None, approved=None)
                | Q(decided_at__isnull=False, decided_by__isnull=False, approved__isnull=False),
                name="adjustment_decided_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("asked_by")), name="adjustment_by_two_people"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.microcredits} for {self.team}"
