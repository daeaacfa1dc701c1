"""A styled version of a job's cut-out, made locally at 0 credits."""

from django.db import models
from django.db.models import F, Q

from jobs.models.job import Job


class Rendition(models.Model):
    """A file made from a job's master in one style.

    It is a cache: it can be deleted, and made again, at any time. style_sha256: of the style's canonical
    form and of what it depends on. due_at: when a worker may make it; while one does, the end of its lease.
    """

    class State(models.TextChoices):
        WANTED = "wanted"
        MADE = "made"
        FAILED = "failed"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="renditions")
    style_sha256 = models.CharField(max_length=64)
    style = models.JSONField(default=dict)
    state = models.CharField(max_length=6, choices=State, default=State.WANTED)
    due_at = models.DateTimeField(null=True)
    takes = models.PositiveSmallIntegerField(default=0)  # how often a worker began to make it
    problem = models.CharField(max_length=400, blank=True)

    file = models.FileField(max_length=200, blank=True)
    content_type = models.CharField(max_length=40, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    bytes = models.PositiveBigIntegerField(null=True)
    crc32 = models.PositiveBigIntegerField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["job", "style_sha256"], name="rendition_once"),
            models.CheckConstraint(condition=~Q(state="made") | ~Q(file=""), name="rendition_made_has_file"),
        )
        indexes = (models.Index(F("due_at"), condition=Q(state="wanted"), name="rendition_wanted"),)

    def __str__(self) -> str:
        return f"{self.job_id}: {self.state}"
