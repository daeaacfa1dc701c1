"""Store roll-ups of what was spent and saved. ``jobs.usage_days`` writes this table."""

from django.db import models

from accounts.models import ApiKey, Team, User
from jobs.models.batch import Batch
from jobs.models.job import Job


class UsageDay(models.Model):
    """Sum up one team's day for one person, key, batch and origin.

    It is derived: written in the transaction that books a call, or that reuses or restyles a picture, and
    recomputable (``manage.py verify`` compares, ``manage.py recompute_usage`` mends). day: in the instance's
    time zone, of the booking. bucket: the other columns that make the row one of its kind, as text, since a
    unique constraint would take two empty keys for different ones. All amounts are in micro-credits.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="usage_days", db_index=False)
    day = models.DateField()
    bucket = models.CharField(max_length=100)
    spender = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    origin = models.CharField(max_length=7, choices=Job.Origin)

    calls = models.BigIntegerField(default=0)  # that were charged
    pixels = models.BigIntegerField(default=0)  # of their pictures
    estimated = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    booked = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)  # pictures that reused an earlier cut-out
    saved = models.BigIntegerField(default=0)  # what those would have been estimated at
    renditions = models.BigIntegerField(default=0)  # restyled pictures, each at 0 credits

    class Meta:
        constraints = (models.UniqueConstraint(fields=["team", "day", "bucket"], name="usage_day_once"),)

    def __str__(self) -> str:
        return f"{self.team_id} {self.day}: {self.booked}"
