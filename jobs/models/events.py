"""Store events: webhooks with their deliveries, and alerts. ``jobs.events`` writes them."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User


class EventKind(models.TextChoices):
    JOB_FINISHED = "job.finished", _("a picture is finished")
    BATCH_FINISHED = "batch.finished", _("a batch is finished")
    BALANCE_LOW = "balance.low", _("credits run low")
    REVIEW_NEEDED = "review.needed", _("a charge needs a review")


class Webhook(models.Model):
    """An address of a team's own that is told of events. secret: encrypted, it signs each delivery.

    events: values of ``EventKind``. disabled_at: switched off, by a person or after too many failures.
    enabled_at: when a person last switched it on again.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(_("URL"), max_length=2000)
    secret = models.CharField(max_length=400)
    events = models.JSONField(default=list)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.CharField(max_length=400, blank=True)
    enabled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.url


class Event(models.Model):
    """Something that happened to a team, written in the transaction in which it happened.

    id: stable over all deliveries and replays. subject: what it is about, such as ``job:12:1:done``; each
    subject has an event of a kind at most once.
    """

    id = models.UUIDField(primary_key=True, default=uuid4)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=15, choices=EventKind)
    subject = models.CharField(max_length=120)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["team", "kind", "subject"], name="event_once"),)
        indexes = (models.Index(fields=["at"], name="event_in_time"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class Delivery(models.Model):
    """An event on its way to a webhook. due_at: when it is sent next; while it is sent, the lease's end.

    answer: the beginning of what the receiver said to the last try.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")  # no further tries, unless a person replays it

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now)
    sent_at = models.DateTimeField(null=True)  # the last try
    status = models.PositiveSmallIntegerField(null=True)
    problem = models.CharField(max_length=400, blank=True)
    answer = models.CharField(max_length=2000, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["event", "webhook"], name="delivery_once"),
            models.CheckConstraint(
                condition=~Q(state="waiting") | Q(due_at__isnull=False), name="delivery_waiting_is_due"
            ),
        )
        indexes = (
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["webhook", "-id"], name="delivery_log"),
        )

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id}: {self.state}"


class Alert(models.Model):
    """A warning that was given once: of a pool, an allowance, the upstream's own account or a disk.

    subject: such as ``pool``, ``allowance:7`` or ``upstream:3``. level: the percent used; for a
    date that comes near, the days left. period: what it was given for, so that the next one can be warned of
    again: an allowance's period, the grant that a pool is measured by, or a ``useBefore`` date.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="alerts")
    subject = models.CharField(max_length=80)
    level = models.PositiveSmallIntegerField()
    period = models.CharField(max_length=80)
    text = models.JSONField(default=dict)  # the figures that the sentence is made of
    at = models.DateTimeField(default=timezone.now)
    over_at = models.DateTimeField(null=True)  # the reason for it is gone

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["subject", "team", "level", "period"], name="alert_once"),
            models.UniqueConstraint(
                fields=["subject", "level", "period"], condition=Q(team=None), name="alert_once_of_no_team"
            ),
        )
        indexes = (models.Index(fields=["team"], condition=Q(over_at=None), name="alert_open"),)

    def __str__(self) -> str:
        return f"{self.subject} {self.level}: {self.period}"
