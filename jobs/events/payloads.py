"""Say what a webhook receives: JSON with the event's id, type, time, team and data.

What an event knew when it was written is completed when it is first sent, with amounts and addresses, and
kept: each try and each replay sends the same bytes, until ``jobs.events.erased_names`` replaces a name.
"""

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.urls import reverse

from accounts.ledger.money import to_credits
from accounts.models import Transfer
from jobs.events.outbox import PING
from jobs.models import Attempt, Event, EventKind, Job

ADDRESS = "url"
"""Every completed event has it."""


def body(event: Event) -> bytes:
    """Return the body of the event's requests. event: with its team."""
    if ADDRESS not in event.data:
        _complete(event)
    # Sorted, since PostgreSQL gives the keys back in an order of its own, and a retry sends the same bytes.
    return json.dumps(_payload(event), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def shown(event: Event) -> str:
    """Return the body of an event that was sent, laid out for reading."""
    return json.dumps(_payload(event), ensure_ascii=False, indent=2, sort_keys=True)


def _payload(event: Event) -> dict[str, Any]:
    return {
        "id": str(event.pk),
        "type": event.kind,
        "timestamp": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "team": event.team.slug,
        "data": event.data,
    }


def _complete(event: Event) -> None:
    """Complete what is known of the event; of two senders at once, the first one's words stay."""
    more = MORE[event.kind](event)
    with transaction.atomic():
        # Read again under the lock: meanwhile its name may have been replaced, since the picture was erased.
        kept = Event.objects.select_for_update(no_key=True).get(pk=event.pk)
        if ADDRESS not in kept.data:
            kept.data |= more
            kept.save(update_fields=["data"])
    event.data = kept.data


def _job(event: Event) -> dict[str, Any]:
    pk, state = event.data["job"], event.data["state"]
    is_done = state == Job.State.DONE
    return {
        # Unknown while it is in doubt.
        "credits": None if state == Job.State.IN_DOUBT else _booked(hold__attempt__job=pk),
        ADDRESS: address("job", event.team.slug, pk),
        "result_url": address("api_result", pk) if is_done else None,
    }


def _batch(event: Event) -> dict[str, Any]:
    batch = event.data["batch"]
    return {
        "credits": _booked(hold__attempt__job__batch=batch),
        ADDRESS: address("batch", event.team.slug, batch),
    }


def _review(event: Event) -> dict[str, Any]:
    attempt = Attempt.objects.select_related("hold").get(job=event.data["job"], number=event.data["attempt"])
    charged = attempt.charged_microcredits
    return {
        "held": _credits(attempt.hold.amount_microcredits if attempt.hold else 0),
        "charged": None if charged is None else _credits(charged),
        ADDRESS: address("job", event.team.slug, attempt.job_id),
    }


def _balance(event: Event) -> dict[str, Any]:
    amounts = {name: _credits(event.data[name]) for name in ("left", "full")}
    return {**amounts, ADDRESS: address("credits", event.team.slug)}


def _ping(event: Event) -> dict[str, Any]:
    return {ADDRESS: address("webhooks", event.team.slug)}


MORE = {
    EventKind.JOB_FINISHED: _job,
    EventKind.BATCH_FINISHED: _batch,
    EventKind.REVIEW_NEEDED: _review,
    EventKind.BALANCE_LOW: _balance,
    PING: _ping,
}


def address(view: str, *args: object) -> str:
    """Return the full address of a page."""
    return absolute(reverse(view, args=args))


def absolute(path: str) -> str:
    """Return the full address of a path on this site."""
    return f"{settings.PUBLIC_URL}{path}"


def _booked(**calls: Any) -> str:
    booked = Transfer.objects.filter(kind__in=Transfer.BOOKINGS, **calls)
    return _credits(booked.aggregate(sum=Sum("amount_microcredits"))["sum"] or 0)


def _credits(microcredits: int) -> str:
    return str(to_credits(microcredits))
