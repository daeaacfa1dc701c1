"""Send events to webhooks: signed, through the guarded fetcher, each at least once.

A sender takes a delivery by moving its ``due_at`` ahead: a lease, after which another one sends it, so that
none is lost with its sender. A receiver knows a repetition by the event's id. Only a few go to one webhook at
once, so that a slow receiver doesn't hold up the others, and no connection to the database waits for any.
Deliveries come in no certain order: each has its event's time.
"""

from collections import Counter
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import F, Func, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from jobs import metrics
from jobs.connections import DATABASE_AWAY, give_back
from jobs.events import payloads, signing, subscriptions
from jobs.events.signing import DecryptionError
from jobs.models import Delivery, Webhook
from jobs.storage.interruptible import Stop, keep_going
from pixian.protocol.errors import Refused
from pixian.server.url_fetcher import Fetcher, FetchLimits

AT_ONCE, AT_ONCE_EACH = 16, 2
POLL_SECONDS = 0.5
LIMITS = FetchLimits(max_bytes=2000, seconds=10, connect_seconds=5)
LEASE = timedelta(seconds=60)  # longer than a request takes
BACKOFF = (
    *(timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=2), timedelta(hours=6), timedelta(hours=12), timedelta(hours=24)),
)
FAILING_FOR = timedelta(days=3)
GONE = 410
MAX_PROBLEM = 400

NO_SECRET = gettext_noop("The secret can't be read any more. Replace it.")
NOTHING_TO_TELL = gettext_noop("What the event is about is gone.")
REDIRECTED = gettext_noop("The receiver redirects, and redirects aren't followed.")
IS_GONE = gettext_noop("The receiver answered 410 Gone.")
FAILED_FOR_LONG = gettext_noop("Every delivery has failed for three days.")
OUR_FAULT = gettext_noop("Something went wrong on our side")
NOT_THEIRS = (NOTHING_TO_TELL, OUR_FAULT)
"""Problems that say nothing about the receiver."""

State = Delivery.State
WAITING = Func(template="'waiting'")  # a literal, for SQLite's partial index ``delivery_due``

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Request:
    """A request that a thread can send without the database."""

    url: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Result:
    """Outcome of a request. status: None if no response came, for a reason that ``problem`` states."""

    status: int | None = None
    problem: str = ""
    answer: str = ""

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@cache
def fetcher() -> Fetcher:
    """Return this process's fetcher; making one takes 25 ms, since it reads the machine's certificates."""
    return Fetcher(LIMITS, networks=settings.FETCH_NETWORKS, ports=settings.FETCH_PORTS)


def send_due(stop: Stop = keep_going) -> int:
    """Send the deliveries that are due, until none is; return how many requests were made."""
    flying: dict[Future[Result], Delivery] = {}
    sent = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while True:
            if not stop():
                for delivery in _claim(flying.values()):
                    if request := _prepare(delivery):
                        flying[pool.submit(_send, request)] = delivery
            if not flying:
                return sent
            give_back()  # the connection: a receiver may take its time
            for future in wait(flying, POLL_SECONDS, FIRST_COMPLETED).done:
                _settle(flying.pop(future), future.result())
                sent += 1


def switch_off_failing(stop: Stop = keep_going) -> None:
    """Switch off webhooks that have failed for three days; one switched on again has three days from then."""
    since = timezone.now() - FAILING_FOR
    for webhook in Webhook.objects.filter(disabled_at=None).exclude(enabled_at__gte=since):
        if not stop() and _has_failed(webhook, since):
            subscriptions.switch_off(webhook, FAILED_FOR_LONG)


def _has_failed(webhook: Webhook, since: datetime) -> bool:
    """Tell if nothing was delivered since then, and an event from before that was given up since.

    That one failed in all its tries, which take two days: a single try may fail at any good receiver, even
    the first after days without events, or that of an old event that a person replays.
    """
    recent = webhook.deliveries.filter(sent_at__gte=since)
    tried_out = recent.filter(state=State.FAILED, tries__gt=len(BACKOFF), event__at__lt=since)
    given_up = tried_out.exclude(problem__in=NOT_THEIRS)
    return given_up.exists() and not recent.filter(state=State.DELIVERED).exists()


def _claim(flying: Collection[Delivery]) -> list[Delivery]:
    """Take deliveries that are due, as many as may be sent besides those that are."""
    busy = Counter(delivery.webhook_id for delivery in flying)
    taken: list[Delivery] = []
    while free := AT_ONCE - len(flying) - len(taken):
        # Those of one webhook may be thousands, before which others' mustn't wait.
        full = [pk for pk, count in busy.items() if count >= AT_ONCE_EACH]
        before = len(taken)
        for delivery in _due(full, free):
            if busy[delivery.webhook_id] < AT_ONCE_EACH and _take(delivery):
                busy[delivery.webhook_id] += 1
                taken.append(delivery)
        if len(taken) == before:
            break
    return taken


def _due(full: list[int], count: int) -> list[Delivery]:
    due = Delivery.objects.filter(state=WAITING, due_at__lte=timezone.now()).exclude(webhook__in=full)
    return list(due.select_related("webhook", "event__team").order_by("due_at")[:count])


def _take(delivery: Delivery) -> bool:
    """Take the lease; False if another sender was faster, or the webhook is off by now."""
    if delivery.webhook.disabled_at:
        subscriptions.give_up_waiting(delivery.webhook.deliveries.all())
        return False
    ours, now = _ours(delivery), timezone.now()
    delivery.due_at = now + LEASE
    return bool(ours.update(due_at=delivery.due_at, sent_at=now))


def _ours(delivery: Delivery) -> QuerySet[Delivery]:
    """Select the delivery if no other sender has taken it meanwhile, and nobody has replayed it."""
    return Delivery.objects.filter(pk=delivery.pk, state=State.WAITING, due_at=delivery.due_at)


def _prepare(delivery: Delivery) -> Request | None:
    """Return the request to make; if there is none, that is a failed try."""
    webhook, event = delivery.webhook, delivery.event
    try:
        body = payloads.body(event)
        return Request(webhook.url, body, signing.headers(webhook.secret, str(event.pk), body))
    except DecryptionError:
        _settle(delivery, Result(problem=NO_SECRET))
    except ObjectDoesNotExist:
        _settle(delivery, Result(problem=NOTHING_TO_TELL))
    except DATABASE_AWAY:
        raise  # nor could the try be recorded
    except Exception:  # such as an event of a kind that only a later release knows; the others go on
        log.exception("an event can't be put into words", delivery=delivery.pk, kind=event.kind)
        _settle(delivery, Result(problem=OUR_FAULT))
    return None


def _send(request: Request) -> Result:
    """Make a request, in a thread that never talks to the database."""
    try:
        posted = fetcher().post(request.url, request.body, request.headers)
    except Refused as error:
        return Result(problem=error.message)
    except Exception:  # it would end the round, and be met again in each one
        log.exception("a request can't be made")
        return Result(problem=OUR_FAULT)
    answer = posted.body.decode(errors="replace").replace("\0", "\ufffd")
    problem = REDIRECTED if 300 <= posted.status < 400 else ""
    return Result(posted.status, problem, answer)


def _settle(delivery: Delivery, result: Result) -> None:
    """Record what became of a try, and when the next one is due."""
    tries = delivery.tries + 1
    changes: dict[str, Any] = {
        "status": result.status,
        "problem": result.problem[:MAX_PROBLEM],
        "answer": result.answer,
    }
    if result.is_delivered:
        changes |= {"state": State.DELIVERED, "due_at": None}
    elif tries > len(BACKOFF):
        changes |= {"state": State.FAILED, "due_at": None}
    else:
        changes |= {"due_at": timezone.now() + BACKOFF[tries - 1]}
    _ours(delivery).update(tries=F("tries") + 1, **changes)
    if result.status == GONE:
        subscriptions.switch_off(delivery.webhook, IS_GONE)
    metrics.count_delivery(delivered=result.is_delivered)
    if not result.is_delivered:
        log.info("a delivery failed", delivery=delivery.pk, tries=tries, status=result.status)
