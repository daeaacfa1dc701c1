"""Write events, and a delivery of each to every webhook that subscribed to it.

Call these in the transaction in which the thing happens, so that neither is there without the other.
``jobs.events.webhooks`` sends them afterwards. An event's subject is stable: the same thing again, after a
lost confirmation, is the same event.

A team without a webhook costs nothing: the statement that ends a job tells by ``HEARD`` if there is one.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from jobs import plain_sql
from jobs.models import Attempt, Batch, Event, EventKind, Job, Webhook

PING = "ping"
"""The kind of a test event, which goes to one webhook, whatever it subscribed to."""

HEARD = """EXISTS (
    SELECT 1 FROM jobs_webhook hook WHERE hook.team_id = jobs_job.team_id AND hook.disabled_at IS NULL
)"""
LISTENERS = "SELECT id FROM jobs_webhook WHERE team_id = %s AND disabled_at IS NULL"


def is_heard(team_id: int) -> bool:
    """Tell if the team has a webhook that is on."""
    return Webhook.objects.filter(team=team_id, disabled_at=None).exists()


def job_finished(job: Job, state: str, reason: str) -> None:
    """Tell that a job has ended. One that is tried again ends again, which is another event.

    Its claim's number and its state name the ending. So a job that is cancelled, kept for later and cancelled
    once more, with no claim in between, is told once.
    """
    data = {
        "job": job.pk,
        "request_id": str(job.request_id),
        "name": job.name,
        "batch": str(job.batch_id) if job.batch_id else None,
        "state": state,
        "reason": reason or None,
        "test": job.test,
    }
    _write(job.team_id, EventKind.JOB_FINISHED, ending(job, job.fence, state), data)


def ending(job: Job, fence: int, state: str) -> str:
    """Return the subject of the event that tells of an ending of a job, by its claim's number."""
    return f"job:{job.pk}:{fence}:{state}"


def batch_finished(batch: Batch, pictures: Mapping[str, int]) -> None:
    """Tell that a batch's pictures have all ended, with how many ended in which state."""
    if batch.finished_at is None:
        raise ValueError(f"{batch.pk} isn't finished")
    data = {"batch": str(batch.pk), "name": batch.name, "pictures": dict(pictures)}
    moment = int(batch.finished_at.timestamp() * 1_000_000)  # it may finish again later
    _write(batch.team_id, EventKind.BATCH_FINISHED, f"batch:{batch.pk}:{moment}", data)


def review_needed(attempt: Attempt, why: str) -> None:
    """Tell that a person has to look at a call. why: ``overage``, or why it is in doubt."""
    data = {"job": attempt.job_id, "attempt": attempt.number, "why": why}
    _write(attempt.job.team_id, EventKind.REVIEW_NEEDED, f"attempt:{attempt.pk}:{why}", data)


def balance_low(team_id: int, alert: str, data: Mapping[str, Any]) -> None:
    """Tell that credits run low. alert: what names the warning, so that it is told once."""
    _write(team_id, EventKind.BALANCE_LOW, alert, data)


def ping(webhook: Webhook) -> None:
    """Send a test event to one webhook."""
    with transaction.atomic():
        event = Event.objects.create(team_id=webhook.team_id, kind=PING, subject=f"{PING}:{uuid4()}")
        event.deliveries.create(webhook=webhook)


def _write(team_id: int, kind: str, subject: str, data: Mapping[str, Any]) -> None:
    with transaction.atomic(savepoint=False):
        webhooks = [webhook for webhook in _listeners(team_id) if kind in webhook.events]
        event = Event(team_id=team_id, kind=kind, subject=subject, data=dict(data))
        if webhooks and plain_sql.insert_if_new(event):
            for webhook in webhooks:
                event.deliveries.create(webhook=webhook)


def _listeners(team_id: int) -> list[Webhook]:
    """Return the team's webhooks that are on, which nobody deletes before the end of this transaction.

    Locked in a way that others may share: an ending that waited for another's lock here, while that one
    waits for the team's ledger, would be a deadlock.
    """
    shares = " FOR KEY SHARE" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(f"{LISTENERS}{shares}", [team_id])
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(Webhook.objects.filter(pk__in=ids).order_by("pk"))
