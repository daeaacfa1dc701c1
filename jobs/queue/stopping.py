"""Stop all calls to the upstream, and let a person start them again.

Calls under way are finished. Pictures wait, programs get a 429 at once, and all else goes on: pages, results,
restyling. Nothing held is given back.
"""

from django.db import transaction
from django.utils import timezone

from accounts import audit_log
from accounts.models import User
from jobs.models import Ramp
from jobs.queue import concurrency

SUBJECT = "calls"


def stopped() -> Ramp | None:
    """Return the row that says since when and why no calls are made, or None."""
    return Ramp.objects.filter(pk=1, stopped_at__isnull=False).first()


@transaction.atomic
def stop(why: str, by: User | None = None) -> bool:
    """Let no call begin any more; False if that was so already. by: None if the instance itself does it."""
    ramp = concurrency.locked()
    if ramp.stopped_at:
        return False
    ramp.stopped_at, ramp.stopped_why = timezone.now(), why
    ramp.save(update_fields=["stopped_at", "stopped_why"])
    if by:
        audit_log.record(audit_log.Action.STOP_CALLS, SUBJECT, actor=by, team=None, reason=why)
    return True


@transaction.atomic
def start(by: User) -> bool:
    """Let calls begin again; False if they weren't stopped."""
    ramp = concurrency.locked()
    if not ramp.stopped_at:
        return False
    before = {"stopped_at": ramp.stopped_at.isoformat(), "why": ramp.stopped_why}
    ramp.stopped_at, ramp.stopped_why, ramp.started_at = None, "", timezone.now()
    ramp.save(update_fields=["stopped_at", "stopped_why", "started_at"])
    audit_log.record(audit_log.Action.START_CALLS, SUBJECT, actor=by, team=None, before=before)
    return True
