"""A drop of pictures that one person wants cut out in the same way, and the files that belong to it."""

from __future__ import annotations

from typing import Self
from uuid import uuid4

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User
from jobs.models.job import Job


class Batch(models.Model):
    """Pictures with a name, an author and a style. Its progress follows from its jobs and files.

    The browser makes the id, so that a repeated request doesn't begin a second batch. outputs: what each
    picture becomes, as ``[{"name": "", "style": {…}}, …]``; one entry for a style, several for a recipe, and
    none for the plain cut-out. file_names: how downloads are named (``jobs.batches.naming``).
    """

    id = models.UUIDField(primary_key=True, default=uuid4)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="batches")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(_("name"), max_length=120)
    outputs = models.JSONField(default=list)
    file_names = models.JSONField(default=dict)
    paused_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)  # when all its pictures were seen to have ended
    erased_at = models.DateTimeField(null=True)  # its pictures are erased, and its name is a number
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = (
            models.Index(fields=["team", "-created_at"], name="batch_recent"),
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="batch_not_finished"),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("batch", args=[self.team.slug, self.pk])


class BatchFileQuerySet(models.QuerySet["BatchFile"]):
    def missing(self) -> Self:
        """Select the files that are still to be uploaded or fetched, and weren't refused."""
        return self.filter(~Exists(_job_of_file()), problem="")

    def refused(self) -> Self:
        """Select the files that can't be cut out, without those that a person took off the batch."""
        return self.exclude(problem__in=("", BatchFile.Problem.REMOVED))


def _job_of_file() -> models.QuerySet[Job]:
    return Job.objects.filter(team=OuterRef("batch__team"), request_id=OuterRef("request_id"))


class BatchFile(models.Model):
    """A file that a person chose, or an address they listed; it becomes a job once its bytes are here.

    The job has the same ``request_id``. A batch therefore knows what is still missing after a lost line, and
    takes such a file by its name and hash when it is chosen again.
    """

    class Problem(models.TextChoices):
        """The reason why a file isn't cut out."""

        UNREADABLE = "unreadable", _("can't be read")
        TOO_LARGE = "too_large", _("too large")
        CHANGED = "changed", _("changed meanwhile")
        UNREACHABLE = "unreachable", _("can't be fetched")
        FORBIDDEN = "forbidden", _("not allowed to be fetched")
        REMOVED = "removed", _("removed from the batch")

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="files")
    request_id = models.UUIDField(default=uuid4)
    number = models.PositiveIntegerField()  # its place in the drop, from 1
    name = models.CharField(max_length=255)
    folder = models.CharField(max_length=500, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)  # "" if the browser couldn't tell
    bytes = models.PositiveBigIntegerField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)

    url = models.CharField(max_length=2000, blank=True)
    fetch_after = models.DateTimeField(null=True)  # set while a worker has to fetch it
    fetches = models.PositiveSmallIntegerField(default=0)

    problem = models.CharField(max_length=11, choices=Problem, blank=True)
    message = models.CharField(max_length=400, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = BatchFileQuerySet.as_manager()

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=["batch", "request_id"], name="batch_file_once"),
            models.UniqueConstraint(fields=["batch", "number"], name="batch_file_numbered"),
            models.CheckConstraint(
                condition=Q(fetch_after=None) | ~Q(url=""), name="batch_file_fetched_has_url"
            ),
        )
        indexes = (
            models.Index(
                F("fetch_after"), condition=Q(fetch_after__isnull=False), name="batch_file_to_fetch"
            ),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.name}"
