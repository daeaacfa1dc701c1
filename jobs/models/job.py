"""A photo, from its upload to its result. ``jobs.queue.claims`` changes its state."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Func, Prefetch, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import ApiKey, Team, User
from jobs.models.attempt import Attempt
from pixian.protocol import file_names
from pixian.protocol.limits import processed_pixels
from pixian.protocol.options import Format, Options

# As literals, since SQLite uses a partial index (``job_unfinished``) only if the query has its condition word
# by word. Without it each look at the queue reads every job there ever was.
_UNFINISHED = [Func(template="'queued'"), Func(template="'running'")]

PAYER = Coalesce("payer", "created_by")


class JobQuerySet(models.QuerySet["Job"]):
    def claimable(self, now: datetime) -> Self:
        """Select the jobs that are due, or were left behind by a worker whose lease ran out."""
        due = Q(state=Job.State.QUEUED, run_after__lte=now)
        left_behind = Q(state=Job.State.RUNNING, lease_until__lt=now)
        return self.unfinished().filter(due | left_behind)

    def in_flight(self, now: datetime) -> Self:
        """Select the jobs whose worker holds a lease."""
        return self.unfinished().filter(state=Job.State.RUNNING, lease_until__gte=now)

    def asked_to_wait(self, now: datetime) -> Self:
        """Select the jobs that the upstream put off; for each of them a worker's thread waits."""
        waiting = self.unfinished().filter(state=Job.State.QUEUED, reason=Job.Reason.SLOW_DOWN)
        return waiting.filter(run_after__gt=now)

    def unfinished(self) -> Self:
        return self.filter(state__in=_UNFINISHED)

    def kept(self) -> Self:
        """Select the jobs that wait for credits, and whose batch isn't paused."""
        return self.filter(state=Func(template="'kept'"), batch__paused_at=None)

    def with_payer(self) -> Self:
        """Add the column ``payer_key``, of the person whose credits the next call takes."""
        return self.annotate(payer_key=PAYER)

    def kept_by(self, team_id: int, user_id: int) -> Self:
        """Select the kept jobs of a team that this person pays for."""
        return self.kept().with_payer().filter(team=team_id, payer_key=user_id)

    def in_state(self, state: str) -> Self:
        """Select the jobs in this state, by ``job_not_done`` if it isn't *done*: those are few."""
        jobs = self.filter(state=state)
        return jobs if state == Job.State.DONE else jobs.exclude(state=Func(template="'done'"))

    def for_operator(self) -> Self:
        """Select the jobs that an operator has to do something about."""
        return self.unfinished().filter(state=Job.State.QUEUED, reason__in=Job.FOR_OPERATOR)

    def before(self, job: Job) -> Self:
        """Select the team's jobs whose turn comes before this waiting one's."""
        sooner = Q(run_after__lt=job.run_after) | Q(run_after=job.run_after, pk__lt=job.pk)
        urgent = Q(priority__gt=job.priority) | (Q(priority=job.priority) & sooner)
        # The bound on the priority follows from ``urgent``. With it SQLite prefers ``job_unfinished`` to the
        # indexes that have every job of the team.
        waiting = self.unfinished().filter(team=job.team_id, state=Job.State.QUEUED)
        return waiting.filter(urgent, priority__gte=job.priority)

    def with_books(self) -> Self:
        """Prefetch all that ``reconcile.books`` reads."""
        return self.prefetch_related(Prefetch("attempts", Attempt.objects.with_verdict()))


class Job(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("processing")
        DONE = "done", pgettext_lazy("a job", "done")
        FAILED = "failed", _("failed")
        IN_DOUBT = "in_doubt", _("in doubt")
        KEPT = "kept", _("waiting for credits")  # stored; nothing is held, and no call is prepared
        PAUSED = "paused", _("paused")
        CANCELLED = "cancelled", _("cancelled")

    FINISHED = (State.DONE, State.FAILED, State.IN_DOUBT, State.CANCELLED)

    class Reason(models.TextChoices):
        """The reason why a job waits or ended as it did."""

        SLOW_DOWN = "slow_down", _("Pixian asked us to wait.")
        UNREACHABLE = "unreachable", _("The service can't be reached. We keep trying.")
        SERVER_FAILED = "server_failed", _("The service failed. We will try again.")
        ACCOUNT = (
            "account",
            _("The service rejects our account. An operator needs to check it; we keep trying."),
        )
        NOT_PIXIAN = (
            "not_pixian",
            _("The configured address isn't a Pixian server. An operator needs to check it."),
        )
        DISK_FULL = "disk_full", _("The disk is full. An operator needs to free up space; we keep trying.")
        STORAGE = (
            "storage",
            _("The storage of the pictures doesn't answer. An operator needs to check it; we keep trying."),
        )
        RESULT_WAITS = (
            "result_waits",
            _(
                "The result is safe, but can't be stored yet: the disk is full, or the storage doesn't "
                "answer. An operator needs to check it; we keep trying."
            ),
        )
        REPEATED = "repeated", _("The engine was interrupted. We are starting this picture again.")
        REFUSED = "refused", _("The service rejected the picture.")
        GAVE_UP = "gave_up", _("The service failed several times, so we stopped trying.")
        NO_CREDITS = "no_credits", _("There weren't enough credits to retry.")
        RESULT_LOST = "result_lost", _("The result was charged, but was lost on its way to us.")
        NOT_A_PICTURE = "not_a_picture", _("The service responded, but not with a picture.")
        NOT_CHARGED = "not_charged", _("The call was lost and wasn't charged.")
        SOURCE_LOST = "source_lost", _("The picture's file is missing from storage.")
        PASSED_ON = "passed_on", _("The program received the error and may retry.")
        INTERRUPTED = "interrupted", _("The program disconnected before anything was sent.")
        NOT_BOOKED = "not_booked", _("The charge couldn't be booked. It needs to be reviewed.")
        UNANSWERED = "unanswered", _("The service never responded, so we don't know whether it charged.")

    FOR_OPERATOR = (
        Reason.ACCOUNT,
        Reason.NOT_PIXIAN,
        Reason.DISK_FULL,
        Reason.STORAGE,
        Reason.RESULT_WAITS,
    )
    """Why a job waits for good unless an operator does something."""

    class Priority(models.IntegerChoices):
        """The order within a team; teams take turns."""

        BATCH = 0, _("batch")
        TEST = 5, _("test")  # a person is waiting, before a batch is started
        API = 10, _("API")  # a program is waiting

    class Proof(models.TextChoices):
        """A person's decision on the cut-out."""

        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    class Origin(models.TextChoices):
        """The way it came in: dropped in a browser, or sent by a program that waits for the result."""

        BROWSER = "browser", _("browser")
        API = "api", _("API")
        DROP_IN = "drop_in", _("remove.bg drop-in")

    # Found by ``job_history``, ``job_by_person`` and ``job_by_key``. Each update of a row costs an insert
    # into each of its indexes, so there are no shorter ones beside these.
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    # Who asked for its next call, and pays for it; None for its author.
    payer = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, related_name="jobs", db_index=False
    )
    origin = models.CharField(max_length=7, choices=Origin, default=Origin.BROWSER)
    request_id = models.UUIDField()  # made by the sender: the same one again is the same job
    request_sha256 = models.CharField(max_length=64, blank=True)  # of all that makes it the same request
    # None for a program's call.
    batch = models.ForeignKey(
        "jobs.Batch", on_delete=models.PROTECT, null=True, related_name="jobs", db_index=False
    )
    number = models.PositiveIntegerField(default=0)  # its place in the batch
    options = models.JSONField(default=dict)  # form fields of the contract, as they were understood
    ignored = models.JSONField(default=list)  # names of fields that nothing here understands
    test = models.BooleanField(default=False)  # free, watermarked: nothing is held or booked

    name = models.CharField(max_length=255)
    folder = models.CharField(max_length=500, blank=True)  # of the drop, such as ``shoes/red``
    # What came, if the upstream doesn't take it and ``source`` was made from it (HEIC, AVIF).
    original = models.FileField(max_length=200, blank=True)
    original_bytes = models.PositiveBigIntegerField(null=True)
    # Of ``original``'s bytes, by which a browser recognises the picture; None without one.
    original_sha256 = models.CharField(max_length=64, null=True)  # noqa: DJ001 - null adds it without a rewrite
    source = models.FileField(max_length=200)
    source_sha256 = models.CharField(max_length=64)
    source_bytes = models.PositiveBigIntegerField()
    content_type = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    estimated_microcredits = models.BigIntegerField()

    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=13, choices=Reason, blank=True)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.BATCH)
    run_after = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)

    result = models.FileField(max_length=200, blank=True)
    result_sha256 = models.CharField(max_length=64, blank=True)
    result_bytes = models.PositiveBigIntegerField(null=True)
    # The job whose files this one shows: the same picture was cut out before, so it costs nothing.
    reused_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reuses")

    proof = models.CharField(max_length=8, choices=Proof, blank=True)
    proofed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    proofed_at = models.DateTimeField(null=True)

    # Erased by a person or its team's retention: no picture of it is shown, and its name is a number. Purged:
    # its files are gone too, unless another job shows them. The row stays, since it explains credits.
    erased_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["team", "request_id"], name="job_request_once"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False), name="job_runs_on_a_lease"
            ),
            models.CheckConstraint(condition=~Q(state="done") | ~Q(result=""), name="job_done_has_result"),
            models.CheckConstraint(
                condition=Q(purged_at=None) | Q(erased_at__isnull=False), name="job_purged_once_erased"
            ),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(state__in=["done", "failed", "cancelled"]),
                name="job_erased_once_ended",
            ),
        )
        indexes = (
            models.Index(fields=["team", "-id"], name="job_history"),
            models.Index(fields=["batch", "updated_at"], name="job_batch_changes"),
            # Read by processes of the release before ``payer``; the next release drops it.
            models.Index(fields=["team", "created_by", "id"], condition=Q(state="kept"), name="job_kept"),
            models.Index("team", PAYER, "id", condition=Q(state="kept"), name="job_kept_by_payer"),
            models.Index(fields=["payer"], condition=Q(payer__isnull=False), name="job_by_payer"),
            models.Index(fields=["team", "source_sha256"], name="job_same_source"),
            models.Index(
                fields=["team", "original_sha256"],
                condition=Q(original_sha256__isnull=False),
                name="job_same_original",
            ),
            models.Index(
                fields=["team", "-priority", "run_after", "id"],
                condition=Q(state__in=["queued", "running"]),
                name="job_unfinished",
            ),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="job_running"),
            models.Index(fields=["team", "state", "-id"], condition=~Q(state="done"), name="job_not_done"),
            models.Index(fields=["team", "created_at"], name="job_by_day"),
            models.Index(fields=["api_key", "-id"], condition=Q(api_key__isnull=False), name="job_by_key"),
            models.Index(fields=["created_by", "team", "-id"], name="job_by_person"),
            models.Index(fields=["team", "origin", "-id"], name="job_by_origin"),
            models.Index(fields=["team", "-id"], condition=Q(test=True), name="job_tests"),
            models.Index(fields=["team", "created_at"], condition=Q(erased_at=None), name="job_not_erased"),
            models.Index(
                fields=["id"],
                condition=Q(erased_at__isnull=False, purged_at=None),
                name="job_to_purge",
            ),
        )

    def __str__(self) -> str:
        return f"{self.pk} {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.team.slug, self.pk])

    @property
    def paid_by(self) -> User:
        """The person whose credits the next call takes; ``PAYER`` in SQL."""
        return self.payer or self.created_by

    # Django's own of these two hash all the labels at each call, and a page makes hundreds.
    def get_state_display(self) -> str:  # type: ignore[no-redef]
        """Return the state in the reader's language."""
        return str(self.State(self.state).label)

    def get_reason_display(self) -> str:  # type: ignore[no-redef]
        """Return the reason in the reader's language; nothing without one."""
        return str(self.Reason(self.reason).label) if self.reason else ""

    @property
    def is_direct(self) -> bool:
        """True if a program waits for it on an open connection, so that no worker makes its call."""
        return self.origin != self.Origin.BROWSER

    @property
    def priced_pixels(self) -> int:
        """The pixels that are priced: those above ``max_pixels`` are shrunk away before the work."""
        return processed_pixels(self.width, self.height, self.options.get("max_pixels"))

    @property
    def is_finished(self) -> bool:
        return self.state in self.FINISHED

    @property
    def has_result(self) -> bool:
        """True if there is a cut-out to show."""
        return bool(self.result) and self.erased_at is None

    @property
    def is_stalled(self) -> bool:
        """True if its worker hasn't renewed the lease in time; another worker claims it."""
        return self.state == self.State.RUNNING and bool(
            self.lease_until and self.lease_until < timezone.now()
        )

    @property
    def who(self) -> str:
        """The person who brought it in, or the program and its owner."""
        return f"{self.api_key.name} ({self.created_by})" if self.api_key else str(self.created_by)

    @property
    def is_delta(self) -> bool:
        """True if the result is only what it adds to its source."""
        return self._asked_for.output_format is Format.DELTA_PNG

    @property
    def has_delta_master(self) -> bool:
        """True if people get a plain PNG made from the result, which is only how this site keeps it.

        A program that asks for a delta PNG gets just that.
        """
        paid_for = self.reused_from or self
        return not paid_for.is_direct and paid_for.is_delta

    @property
    def keeps_frame(self) -> bool:
        """True if the result lies on the source, pixel by pixel."""
        return self._asked_for.keeps_frame(self.width, self.height)

    @property
    def result_type(self) -> str:
        """The result's content type, as the upstream named it: a program may ask for JPEG."""
        if self.reused_from:
            return self.reused_from.result_type
        headers = {name.lower(): value for name, value in self.last_attempt.headers}
        content_type = headers.get("content-type", "")
        return content_type if content_type in file_names.ENDINGS else "image/png"

    @property
    def result_name(self) -> str:
        """The name of a download."""
        return self.name_of_a("image/png" if self.has_delta_master else self.result_type)

    def name_of_a(self, content_type: str) -> str:
        """Return the name of a download of this type."""
        ending = file_names.ENDINGS.get(content_type, "png")
        is_delta = self.is_delta and not self.has_delta_master
        return file_names.cut_out_name(self.name, ending, delta=is_delta)

    @property
    def _asked_for(self) -> Options:
        return Options.parse(self.options)

    @property
    def last_attempt(self) -> Attempt:
        return max(self.attempts.all(), key=lambda attempt: attempt.number)
