"""Which worker processes are there, as far as they have said."""

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Presence

KEPT = timedelta(days=1)


def show(worker: str, threads: int) -> None:
    """This process is at work."""
    now = timezone.now()
    if not Presence.objects.filter(pk=worker).update(seen_at=now):
        Presence.objects.create(worker=worker, threads=threads, started_at=now, seen_at=now)
        Presence.objects.filter(seen_at__lt=now - KEPT).delete()


def leave(worker: str) -> None:
    Presence.objects.filter(pk=worker).delete()


def at_work() -> QuerySet[Presence]:
    """Those who have renewed their leases in time."""
    since = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    return Presence.objects.filter(seen_at__gte=since).order_by("worker")
