"""Register the worker and web processes that are at work."""

import socket
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import WorkerHeartbeat

Kind = WorkerHeartbeat.Kind
KEPT = timedelta(days=1)


def register(worker: str, threads: int, kind: Kind = Kind.WORKER) -> None:
    """Record that this process is at work."""
    now = timezone.now()
    # With its threads: a container that is restarted has the same name, and perhaps other settings.
    if not WorkerHeartbeat.objects.filter(pk=worker).update(seen_at=now, threads=threads, kind=kind):
        row = WorkerHeartbeat(worker=worker, kind=kind, threads=threads, started_at=now, seen_at=now)
        # Two threads of a process may get here at once.
        WorkerHeartbeat.objects.bulk_create([row], ignore_conflicts=True)
        WorkerHeartbeat.objects.filter(seen_at__lt=now - KEPT).delete()


def unregister(worker: str) -> None:
    WorkerHeartbeat.objects.filter(pk=worker).delete()


def at_work(kind: Kind = Kind.WORKER) -> QuerySet[WorkerHeartbeat]:
    """Return the processes that have renewed their leases in time."""
    since = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    return WorkerHeartbeat.objects.filter(kind=kind, seen_at__gte=since).order_by("worker")


def other_machines() -> QuerySet[WorkerHeartbeat]:
    """Return the processes of other machines that have been at work lately, killed ones too."""
    since = timezone.now() - KEPT
    return WorkerHeartbeat.objects.filter(seen_at__gte=since).exclude(
        worker__startswith=f"{socket.gethostname()}:"
    )
