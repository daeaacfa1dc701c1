"""Store what one confirmation decided about several calls in doubt. ``jobs.audit.several`` writes it."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User
from accounts.models.audit import MAX_REASON


class BulkDecisionQuerySet(models.QuerySet["BulkDecision"]):
    def open(self) -> Self:
        """Select those that wait for a second person, or of which calls may be left undecided."""
        return self.filter(finished_at=None)

    def pending(self) -> Self:
        """Select those of two people that wait for the second one, or were interrupted after that."""
        return self.open().filter(needs_second=True)

    def waiting(self) -> Self:
        """Select those that a second person has still to approve or reject."""
        return self.filter(needs_second=True, decided_at=None)


class BulkDecision(models.Model):
    """A decision on several calls of one team, each of which is booked by itself.

    token: of the confirmation, shared by the teams that it was about; the audit log's entries have it as
    ``batch``. calls: of each the attempt, the micro-credits to book and what was known when it was shown.
    stake_microcredits: what the calls cost or held, whichever is more. finished_at: when each call was
    decided, or refused by the books; until then it can be continued.
    """

    class Choice(models.TextChoices):
        ESTIMATED = "estimated", _("charged as estimated")
        NOT_CHARGED = "not_charged", _("not charged")
        BALANCE = "balance", _("as the balance says")
        AMOUNT = "amount", _("charged as entered")

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="bulk_decisions", db_index=False)
    token = models.UUIDField()
    choice = models.CharField(max_length=11, choices=Choice)
    calls = models.JSONField()
    stake_microcredits = models.BigIntegerField()
    reason = models.CharField(max_length=MAX_REASON)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    asked_at = models.DateTimeField(default=timezone.now)
    needs_second = models.BooleanField()
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)
    answer = models.CharField(max_length=MAX_REASON, blank=True)
    finished_at = models.DateTimeField(null=True)

    objects = BulkDecisionQuerySet.as_manager()

    class Meta:
        indexes = (models.Index(fields=["team"], condition=Q(finished_at=None), name="bulk_decision_open"),)
        constraints = (
            models.UniqueConstraint(fields=["token", "team"], name="bulk_decision_once"),
            models.CheckConstraint(condition=~Q(reason=""), name="bulk_decision_gives_a_reason"),
            models.CheckConstraint(
                condition=Q(decided_at=None, decided_by=None, approved=None)
                | Q(decided_at__isnull=False, decided_by__isnull=False, approved__isnull=False),
                name="bulk_decision_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("asked_by")),
                name="bulk_decision_by_two_people",
            ),
        )

    def __str__(self) -> str:
        return f"{self.choice} for {len(self.calls)} calls of {self.team}"

    @property
    def is_waiting(self) -> bool:
        return self.needs_second and self.decided_at is None
