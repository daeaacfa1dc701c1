"""Identify the instance that the stored files belong to, and track their nightly verification."""

from uuid import uuid4

from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class Instance(models.Model):
    """The single row that ties this database to a folder of files, which holds the same id."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    only = models.BooleanField(default=True, unique=True)
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(only=True), name="instance_only_one"),)

    def __str__(self) -> str:
        return str(self.id)


class ResultRound(models.Model):
    """One pass of the nightly verification over all stored results, in the order of their jobs."""

    began_at = models.DateTimeField(default=timezone.now)
    last_job = models.BigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-began_at",)

    def __str__(self) -> str:
        return f"{self.began_at}: up to job {self.last_job}"


class DamagedResult(models.Model):
    """A stored result that isn't what came from the upstream. It is checked again every night."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="damage")
    found_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.job_id} since {self.found_at}"
