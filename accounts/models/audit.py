"""Store the audit log: what people decided about credits. ``accounts.audit_log`` writes this table."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Team, User

MAX_REASON = 400


class AuditEntry(models.Model):
    """Record one decision: who, when, about what, why, and what it changed.

    subject: what it was about, such as ``attempt:123`` or ``request:7``. before, after: the values that it
    changed. request_id: of the HTTP request, the same one for all entries of a bulk action; empty for a
    command. The database refuses to change or delete a row (``accounts.ledger.triggers``).
    """

    class Action(models.TextChoices):
        GRANT = "grant", _("credits granted")
        ADJUST = "adjust", _("credits corrected")
        REFUND = "refund", _("charge refunded")
        WRITE_OFF = "write_off", _("overage written off")
        RESOLVE = "resolve", _("call in doubt decided")
        PUT_OFF = "put_off", _("left to the next balance")
        ACKNOWLEDGE = "acknowledge", _("acknowledged")
        PURCHASE = "purchase", _("purchase entered")
        GRANT_REQUEST = "grant_request", _("request granted")
        DECLINE_REQUEST = "decline_request", _("request declined")
        ANSWER_REPORT = "answer_report", _("report of a bad result answered")
        PROPOSE = "propose", _("put to a second person")
        APPROVE = "approve", _("approved by a second person")
        REJECT = "reject", _("rejected by a second person")
        ALLOWANCE = "allowance", _("allowance changed")
        STOP_CALLS = "stop_calls", _("calls stopped")
        START_CALLS = "start_calls", _("calls started again")
        ERASE = "erase", _("pictures deleted")
        RETENTION = "retention", _("storage time changed")
        QUOTA = "quota", _("storage quota changed")
        DELETE_TEAM = "delete_team", _("team deleted")
        PROVIDER_ROLE = "provider_role", _("membership set by the identity provider")
        DELETE_PERSON = "delete_person", _("account deleted")

    at = models.DateTimeField(default=timezone.now)
    # None if the site did it by itself, after the time that a team keeps its pictures.
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    action = models.CharField(max_length=15, choices=Action)
    subject = models.CharField(max_length=80)
    reason = models.CharField(max_length=MAX_REASON, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    request_id = models.CharField(max_length=36, blank=True)

    class Meta:
        indexes = (
            models.Index(fields=["team", "-id"], name="audit_of_team"),
            models.Index(fields=["subject", "-id"], name="audit_of_subject"),
        )
        constraints = (models.CheckConstraint(condition=~Q(subject=""), name="audit_names_its_subject"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.who} {self.action} {self.subject}"

    @property
    def who(self) -> str:
        return str(self.actor) if self.actor else gettext("the team's retention")
