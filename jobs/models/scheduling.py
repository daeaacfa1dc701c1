"""Fair scheduling, and the processes at work. ``jobs.queue`` writes all but ``PeriodicTask``."""

from django.db import models
from django.utils import timezone

from accounts.models import Team


class Turn(models.Model):
    """The time at which a team was last served.

    The team that has waited longest is next, however much others have queued.
    """

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="turn")
    served_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.team_id}: {self.served_at}"


class Ramp(models.Model):
    """One row, which every claim locks: since when calls have been made without a long break.

    From it follows how many may be in flight over all workers (``pixian.client.ramp_up``). stopped_at: since
    when no call may begin at all, until a person starts them again. started_at: when a person last did.
    """

    began_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(default=timezone.now)
    program_waited_at = models.DateTimeField(null=True)  # when one last said that it waits for a call
    stopped_at = models.DateTimeField(null=True)
    stopped_why = models.CharField(max_length=400, blank=True)
    started_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"since {self.began_at}"


class WorkerHeartbeat(models.Model):
    """A process that renews its leases, for the health page. worker: the name of the process."""

    class Kind(models.TextChoices):
        WORKER = "worker"
        WEB = "web"

    kind = models.CharField(max_length=6, choices=Kind, default=Kind.WORKER)
    worker = models.CharField(max_length=120, primary_key=True)
    threads = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.worker


class PeriodicTask(models.Model):
    """A task that one worker of all runs now and then: the one that moves ``due_at`` on.

    started_at: when it was last begun. ran_at: when it last came to its end without an error.
    """

    name = models.CharField(max_length=20, primary_key=True)
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ran_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} {self.due_at}"
