"""One call to the upstream, and what is known of it. ``jobs.calls.attempts`` changes its state."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Func, Q
from django.utils.translation import gettext_lazy as _

from accounts import request_id
from accounts.models import Transfer, User
from jobs.models.upstream_account import UpstreamAccount
from jobs.models.verdicts import COLUMNS, CONTRADICTED, ending
from pixian.protocol.credits import is_finer

# As literals, for SQLite's partial index ``attempt_open``; see ``jobs.models.job``.
_ENDED = [Func(template="'booked'"), Func(template="'released'")]


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def in_doubt(self) -> Self:
        """Select the attempts of which nobody knows yet what they cost."""
        return self.filter(state=Attempt.State.IN_DOUBT).exclude(state__in=_ENDED)

    def answered(self) -> Self:
        """Select the attempts whose answer is recorded, and not dealt with yet."""
        return self.filter(state=Attempt.State.ANSWERED).exclude(state__in=_ENDED)

    def under_way(self) -> Self:
        """Select the attempts that a worker, or a web process, has something to do for."""
        states = (Attempt.State.PREPARED, Attempt.State.SENT, Attempt.State.ANSWERED)
        return self.filter(state__in=states).exclude(state__in=_ENDED)

    def for_review(self) -> Self:
        """Select the attempts that a person has to look at.

        They are in doubt, or were charged above their hold, or otherwise than a person decided, and nobody
        has looked at that yet.
        """
        # As a union of searches that an index answers each; joined by OR they'd read every attempt.
        in_doubt = Attempt.objects.in_doubt()
        over = Transfer.objects.filter(kind=Func(template="'overage'"))
        above = Attempt.objects.filter(hold__in=over.values("hold"), reviewed_at=None)
        contradicted = Attempt.objects.filter(CONTRADICTED)
        waiting = in_doubt.values("pk").union(above.values("pk"), contradicted.values("pk"))
        return self.filter(pk__in=waiting)

    def of_account(self, account_id: int) -> Self:
        """Select what was sent to an account, and what was sent before accounts were recorded."""
        return self.filter(Q(account=account_id) | Q(account=None))

    def with_verdict(self) -> Self:
        """Add the columns ``known``, ``held`` and ``booked``, in micro-credits, and ``verdict``."""
        close, excess = ending(Transfer.Resolution.CLOSE), ending(Transfer.Resolution.EXCESS)
        return self.annotate(close=close, excess=excess).annotate(**COLUMNS)


class Attempt(models.Model):
    """One call to the upstream, at most one charge.

    ``prepared → sent → answered → booked``, or *released* if nothing was charged, or *in doubt*. Its hold
    is open in every state but *booked* and *released*.
    """

    class State(models.TextChoices):
        PREPARED = "prepared", _("prepared")
        SENT = "sent", _("sent")
        ANSWERED = "answered", _("answered")
        BOOKED = "booked", _("booked")
        RELEASED = "released", _("released")
        IN_DOUBT = "in_doubt", _("in doubt")

    class Doubt(models.TextChoices):
        """The reason why a person has to look, or had to."""

        UNANSWERED = "unanswered", _("no response was recorded")
        NO_CHARGE = "no_charge", _("the response states no readable charge")
        IMPLAUSIBLE = "implausible", _("the charge is implausible")
        UNBOOKED = "unbooked", _("it couldn't be booked")
        LATE = "late", _("the response came after the call was given up")

    job = models.ForeignKey("jobs.Job", on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.PREPARED)
    sends = models.PositiveIntegerField(default=0)  # more than one after a 429 or without a connection
    # None for a test, which is free
    hold = models.OneToOneField(Transfer, on_delete=models.PROTECT, null=True, related_name="attempt")
    test = models.BooleanField(default=False)
    # Where it was sent; None before that, and for calls from before this was recorded.
    account = models.ForeignKey(UpstreamAccount, on_delete=models.PROTECT, null=True, db_index=False)
    # Of the HTTP request that prepared it, for the log; None if that was none, as for a command.
    http_request_id = models.CharField(  # noqa: DJ001 - null adds the column to a long table without a rewrite
        max_length=request_id.MAX_LENGTH, null=True, default=request_id.current_or_none
    )

    prepared_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=list)  # [[name, value], …] as they came
    charged_header = models.CharField(max_length=200, null=True)  # noqa: DJ001 - absent isn't empty
    charged_microcredits = models.BigIntegerField(null=True)  # null if the header can't be read
    error_code = models.IntegerField(null=True)
    error_message = models.CharField(max_length=400, blank=True)

    doubt = models.CharField(max_length=11, choices=Doubt, blank=True)
    booking_failures = models.PositiveSmallIntegerField(default=0)
    booking_error = models.CharField(max_length=400, blank=True)  # the last one

    # As a person, or the upstream's balance, decided if the headers don't say.
    resolved_microcredits = models.BigIntegerField(null=True)
    reviewed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="reviews")
    reviewed_at = models.DateTimeField(null=True)
    review_note = models.CharField(max_length=400, blank=True)
    put_off_at = models.DateTimeField(null=True)  # since when a person waits for the balance to decide

    PRICED_SIZE = ("job__width", "job__height", "job__options__max_pixels")
    """For ``values_list``: what ``pixian.protocol.limits.processed_pixels`` takes."""

    # Only after ``with_verdict``; see ``jobs.models.verdicts``.
    held: int
    booked: int
    verdict: str

    objects = AttemptQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_unique"),
            models.CheckConstraint(
                condition=~Q(state__in=["sent", "answered"]) | Q(sent_at__isnull=False),
                name="attempt_sent_at_known",
            ),
            models.CheckConstraint(
                condition=Q(hold__isnull=False, test=False) | Q(hold=None, test=True),
                name="attempt_holds_unless_test",
            ),
        )
        indexes = (
            models.Index(
                fields=["state", "sent_at"],
                condition=~Q(state__in=["booked", "released"]),
                name="attempt_open",
            ),
            models.Index(fields=["sent_at"], name="attempt_in_time"),
            models.Index(fields=["reviewed_at"], condition=Q(doubt="late"), name="attempt_late"),
            models.Index(fields=["-job"], condition=Q(state="released"), name="attempt_released"),
        )

    def __str__(self) -> str:
        return f"{self.job_id}/{self.number} {self.state}"

    @property
    def known_microcredits(self) -> int | None:
        """The cost, as a person decided or else as the header said; None if nobody knows yet."""
        return self.charged_microcredits if self.resolved_microcredits is None else self.resolved_microcredits

    @property
    def is_rounded(self) -> bool:
        """The header names a part of a micro-credit, and the charge was rounded half up."""
        return self.charged_microcredits is not None and is_finer(self.charged_header or "")
