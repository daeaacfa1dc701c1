"""Delete events and deliveries after 30 days, and warnings that have long been over."""

from datetime import timedelta

from django.utils import timezone

from jobs.models import Alert, Delivery, Event
from jobs.storage.interruptible import Stop, keep_going

KEPT = timedelta(days=30)
WARNINGS_KEPT = timedelta(days=365)
AT_ONCE = 2_000


def purge(stop: Stop = keep_going) -> int:
    """Delete what is old, a part at a time; return how many events that were."""
    now, purged = timezone.now(), 0
    old = Event.objects.filter(at__lt=now - KEPT).order_by("at").values_list("pk", flat=True)
    while not stop() and (keys := list(old[:AT_ONCE])):
        Delivery.objects.filter(event__in=keys).delete()
        purged += Event.objects.filter(pk__in=keys).delete()[0]
    Alert.objects.filter(over_at__lt=now - WARNINGS_KEPT).delete()
    return purged
