"""Warn of each reason once: in the page of those concerned, and by email.

The row of an ``Alert`` decides which process sends the email, after its transaction: one that dies in between
sends none, and the note in the page stays. A warning whose reason is gone is over, and is given again if the
reason comes back.
"""

import time
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from jobs.events import alert_mails, outbox
from jobs.events.reasons import POOL, Reason, all_reasons
from jobs.events.review_mails import REVIEW, tell_of_reviews
from jobs.models import Alert
from jobs.storage.interruptible import Stop, keep_going

EVERY_SECONDS = 15

_next_look = 0.0
"""By the monotonic clock; each process looks by itself."""


def warn_due(stop: Stop = keep_going) -> int:
    """Look every few seconds if there is something to warn of; return how many emails were due."""
    global _next_look  # noqa: PLW0603 - one thread of a process
    if stop() or time.monotonic() < _next_look:
        return 0
    _next_look = time.monotonic() + EVERY_SECONDS
    return warn() + tell_of_reviews()


def warn() -> int:
    """Give the warnings that are new, and end those whose reason is gone; return how many were given.

    Of several levels reached at once, only the gravest is mailed.
    """
    reasons = {_key(reason): reason for reason in all_reasons()}
    open_ = {_key(alert): alert for alert in Alert.objects.filter(over_at=None).exclude(subject=REVIEW)}
    _end(alert for key, alert in open_.items() if key not in reasons)
    given: dict[tuple[str, int | None], Alert] = {}
    for key, reason in reasons.items():
        if reason.is_reached and key not in open_ and (alert := _give(reason)):
            given[reason.subject, reason.team_id] = alert
    for alert in given.values():
        alert_mails.send(alert)
    return len(given)


def _give(reason: Reason) -> Alert | None:
    """Write the warning, with its event; None if another process was faster."""
    with transaction.atomic():
        now = timezone.now()
        named = {"subject": reason.subject, "team_id": reason.team_id}
        named |= {"level": reason.level, "period": reason.period}
        again = Alert.objects.filter(**named, over_at__isnull=False)
        if not again.update(over_at=None, at=now, text=reason.text):
            _, created = Alert.objects.get_or_create(**named, defaults={"text": reason.text, "at": now})
            if not created:
                return None
        if reason.subject == POOL and reason.team_id:
            data = {"used_percent": reason.level, **reason.text}
            outbox.balance_low(reason.team_id, f"{POOL}:{reason.level}:{now.timestamp():.6f}", data)
        return Alert.objects.select_related("team").get(**named)


def _end(alerts: Iterable[Alert]) -> None:
    keys = [alert.pk for alert in alerts]
    Alert.objects.filter(pk__in=keys, over_at=None).update(over_at=timezone.now())


def _key(of: Reason | Alert) -> tuple[str, int | None, int, str]:
    return of.subject, of.team_id, of.level, of.period
