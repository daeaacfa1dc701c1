"""Store people's reports that a result is bad. ``jobs.audit.bad_results`` writes this table."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from jobs.models.job import Job

MAX_NOTE = 400


class BadResult(models.Model):
    """A result that a member reported as bad, until a manager or staff answer."""

    class Answer(models.TextChoices):
        REFUNDED = "refunded", _("refunded")
        DECLINED = "declined", _("declined")

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="reports")
    reported_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    reported_at = models.DateTimeField(default=timezone.now)
    note = models.CharField(_("note"), max_length=MAX_NOTE)

    answered_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    answered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=8, choices=Answer, blank=True)
    reason = models.CharField(max_length=MAX_NOTE, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["job"], condition=Q(answered_at=None), name="bad_result_once"),
            models.CheckConstraint(condition=~Q(note=""), name="bad_result_says_what"),
            models.CheckConstraint(
                condition=Q(answered_at=None, answered_by=None, answer="")
                | (Q(answered_at__isnull=False, answered_by__isnull=False) & ~Q(answer="") & ~Q(reason="")),
                name="bad_result_answered_by_someone",
            ),
        )
        indexes = (
            models.Index(fields=["reported_at"], condition=Q(answered_at=None), name="bad_result_waiting"),
        )

    def __str__(self) -> str:
        return f"{self.job_id}: {self.note}"
