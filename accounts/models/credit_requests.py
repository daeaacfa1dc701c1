"""Store requests for credits. ``accounts.credits.requests`` writes this table."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Team, User

MAX_NOTE = 400


class CreditRequestQuerySet(models.QuerySet["CreditRequest"]):
    def waiting(self) -> Self:
        """Select the requests that nobody has decided yet."""
        return self.filter(decided_at=None)

    def decided(self) -> Self:
        return self.filter(decided_at__isnull=False)


class CreditRequest(models.Model):
    """A member's request for credits, until staff grant some or decline.

    batch: the id of the batch that waits for them; not a foreign key, since batches are another app's.
    granted_microcredits: 0 if it was declined, and then ``answer`` says why. from_pool: a manager granted
    them, as more of the pool for the one who asked, until their allowance renews.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="credit_requests")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="credit_requests")
    microcredits = models.BigIntegerField()
    note = models.CharField(_("note"), max_length=MAX_NOTE, blank=True)
    batch = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="decided_requests")
    granted_microcredits = models.BigIntegerField(null=True)
    from_pool = models.BooleanField(default=False)
    answer = models.CharField(_("answer"), max_length=MAX_NOTE, blank=True)

    objects = CreditRequestQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["asked_by", "batch"],
                condition=Q(decided_at=None, batch__isnull=False),
                name="credit_request_once_a_batch",
            ),
            models.UniqueConstraint(
                fields=["team", "asked_by"],
                condition=Q(decided_at=None, batch=None),
                name="credit_request_once",
            ),
            models.CheckConstraint(condition=Q(microcredits__gt=0), name="credit_request_positive"),
            models.CheckConstraint(
                condition=Q(decided_at=None, decided_by=None, granted_microcredits=None)
                | Q(decided_at__isnull=False, decided_by__isnull=False, granted_microcredits__gte=0),
                name="credit_request_decided_by_someone",
            ),
            models.CheckConstraint(
                condition=~Q(granted_microcredits=0) | ~Q(answer=""), name="credit_request_declined_says_why"
            ),
        )
        indexes = (
            models.Index(fields=["team"], condition=Q(decided_at=None), name="credit_request_waiting"),
            models.Index("team", F("decided_at").desc(), name="credit_request_decided"),
        )

    def __str__(self) -> str:
        return f"{self.microcredits} for {self.team}"

    @property
    def is_declined(self) -> bool:
        return self.granted_microcredits == 0
