"""Identify the instance that the stored files belong to, and track their nightly verification."""

from datetime import datetime
from uuid import uuid4

from django.db import models
from django.utils import timezone

from accounts.models import Team
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
    """A range of jobs whose results were verified: those after ``after_job``, up to ``last_job``.

    What isn't in any range was never read; where ranges overlap, the one that ended last counts. One without
    an end was left behind by an earlier release, and counts from when it began.
    """

    began_at = models.DateTimeField(default=timezone.now)
    after_job = models.BigIntegerField(default=0, db_default=0)
    last_job = models.BigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-began_at",)

    def __str__(self) -> str:
        return f"{self.began_at}: after job {self.after_job}, up to job {self.last_job}"

    @property
    def read_at(self) -> datetime:
        return self.ended_at or self.began_at


class TeamStorage(models.Model):
    """The bytes of a team's files, as they were measured last."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="storage")
    bytes = models.PositiveBigIntegerField(default=0)
    measured_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.team_id}: {self.bytes}"


class DamagedResult(models.Model):
    """A stored result that isn't what came from the upstream. It is checked again every night."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="damage")
    found_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.job_id} since {self.found_at}"
