"""Everything of the product that experiments patch in their processes, and nothing else does.

Fast timings shorten when something happens, never if. The rest are places to harm a worker at, and the
controls: guards taken out, whose loss an experiment must notice.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, wraps
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from kombu.transport import virtual

from jobs.api import requests
from jobs.audit.reconcile import calls
from jobs.calls import attempts, execute, outcomes
from jobs.calls.upstream import Upstream
from jobs.events import webhooks
from jobs.models import Attempt, Delivery, Job, Ramp
from jobs.models.job import JobQuerySet
from jobs.queue import claims, heartbeat
from jobs.queue.heartbeat import Heartbeat
from jobs.retention import due, purge
from jobs.storage import files, instance, inventory, strays
from jobs.worker import background, periodic, pool, run, shared_claims
from pixian.client import backoff
from pixian.client.client import Client
from pixian.server.concurrency_limit import ConcurrencyLimit
from pixian.server.url_fetcher import Fetcher, FetchLimits
from pixian_web import celery

STEP_SECONDS, WAIT_SECONDS, RECEIVER_SECONDS = 0.1, 0.5, 0.5
FAST: tuple[tuple[Any, str, object], ...] = (
    (backoff, "STEP_SECONDS", STEP_SECONDS),  # after a 429: 5 s
    (outcomes, "STEP_SECONDS", STEP_SECONDS),  # after a 5xx: 5 s
    (pool, "STEP_SECONDS", STEP_SECONDS),
    (execute, "INSIST_STEP_SECONDS", STEP_SECONDS),  # between two tries to commit: 1 s
    (outcomes, "ROOM_WAIT_SECONDS", WAIT_SECONDS),  # until there is room: 60 s
    (run, "UNREACHABLE_WAIT_SECONDS", WAIT_SECONDS),  # without a connection: 60 s
    (run, "OPERATOR_WAIT_SECONDS", WAIT_SECONDS),  # until an operator acts: 60 s
    (heartbeat, "STEADY_AFTER_SECONDS", WAIT_SECONDS),  # after an outage: 8 s
    (webhooks, "LEASE", timedelta(seconds=2)),
    (webhooks, "BACKOFF", (timedelta(seconds=WAIT_SECONDS),) * 50),  # 9 tries, over two days
    (webhooks, "LIMITS", FetchLimits(max_bytes=2000, seconds=RECEIVER_SECONDS)),  # 10 s
)
POLLS = ((shared_claims, "POLL_SECONDS"), (background, "PAUSE_SECONDS"), (webhooks, "POLL_SECONDS"))
POLL_SECONDS = 0.05  # between two looks at an empty queue: 0.2 s
PURGED_AFTER = timedelta(seconds=30)  # files of an erased picture: 5 min

DURING_SECONDS, MOMENT_SECONDS = 0.5, 0.2
_beating = threading.Lock()
_kept: list[bytes] = []


def fast_timings(poll: float = POLL_SECONDS) -> None:
    """Shorten the product's waits here, and in every process forked from this one."""
    for owner, name, value in (*FAST, *((*each, poll) for each in POLLS)):
        setattr(owner, name, value)
    # A killed worker's calls count until their leases end, and here many die.
    settings.CALLS_AT_START = settings.CALLS_IN_FLIGHT


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Let ``around`` be called in place of a function, and with that function before its arguments."""
    done = getattr(owner, name)

    @wraps(done)
    def wrapped(*args: Any, **options: Any) -> Any:
        return around(done, *args, **options)

    setattr(owner, name, wrapped)


def compress_clock(times: float) -> None:
    """Let periodic tasks come due so many times as often, and pictures grow old so many times as fast."""
    for name, (first, every, task) in periodic.TASKS.items():
        periodic.TASKS[name] = first / times, every / times, task
    periodic.EVERY_SECONDS = max(1, periodic.EVERY_SECONDS / times)  # type: ignore[assignment]
    purge.GRACE = PURGED_AFTER
    now = timezone.now
    wrap(due, "_of_age", lambda of_age, team, before: of_age(team, now() - (now() - before) / times))


def see_only(job: int) -> None:
    """Let this worker claim one job only, and run no periodic tasks."""
    wrap(JobQuerySet, "claimable", lambda claimable, jobs, now: claimable(jobs, now).filter(pk=job))
    periodic.run_due = lambda *_: None


def end_with(job: int) -> None:
    """Terminate this worker when the job has ended."""

    def due_or_over(due: Callable[[], bool]) -> bool:
        if not Job.objects.unfinished().filter(pk=job).exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return due()

    wrap(claims, "any_claimable", due_or_over)
    wrap(Heartbeat, "_renew", lambda *_: True)  # frozen amid a write, it'd keep everybody from SQLite


@dataclass(frozen=True)
class FreezePoint:
    """Around a function: ``when`` is *before*, *during* or *after*.

    What must have become of the job once another worker has taken it over and the frozen one has thawed: its
    state, and if that worker finds its lease lost.
    """

    owner: Any
    name: str
    when: str
    state: Job.State
    lost: bool = True


FREEZE_POINTS = {
    "before it is sent": FreezePoint(execute, "_send", "before", Job.State.DONE),
    "sent, and no byte has left": FreezePoint(execute, "_send", "after", Job.State.IN_DOUBT),
    "during the call": FreezePoint(Client, "_send", "during", Job.State.IN_DOUBT),
    "answered, and that isn't recorded": FreezePoint(execute, "_record", "before", Job.State.IN_DOUBT),
    "recorded, and the body is on its way": FreezePoint(execute, "_record", "after", Job.State.FAILED),
    "received, and not stored": FreezePoint(execute, "store_result", "before", Job.State.DONE),
    "stored, and not booked": FreezePoint(files, "put", "after", Job.State.DONE),
    "booked": FreezePoint(execute, "book_result", "after", Job.State.DONE, lost=False),
}


def freeze_at(point: FreezePoint) -> None:
    """Freeze this worker at the point, but never while its heartbeat writes."""

    def watched(done: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if point.when == "before":
            _freeze()
        if point.when == "during" and args[1].method == "POST":
            threading.Timer(DURING_SECONDS, _freeze).start()
        result = done(*args, **options)
        if point.when == "after":
            _freeze()
        return result

    def renewed(renew: Callable[[Heartbeat], bool], beating: Heartbeat) -> bool:
        with _beating:
            return renew(beating)

    wrap(point.owner, point.name, watched)
    wrap(Heartbeat, "_renew", renewed)


def _freeze() -> None:
    with _beating:
        # Signal this very thread: it would run on for a while if another one took the signal.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def on_booking(note: Callable[[Job, Attempt], None]) -> None:
    """Call ``note`` whenever this worker has committed the booking of a result."""

    def booked(book: Callable[..., None], job: Job, attempt: Attempt, *facts: Any) -> None:
        book(job, attempt, *facts)
        note(job, attempt)

    for module in (execute, run):
        wrap(module, "book_result", booked)


def lose_confirmations(share: float, seed: str) -> None:
    """Let a share of this process's commits go through, and cut the line before it hears of them."""
    chance = random.Random(seed)  # noqa: S311 - it is to replay

    def commit_and_lose(commit: Callable[..., None], database: BaseDatabaseWrapper) -> None:
        commit(database)
        if chance.random() < share:
            database.connection.close()
            raise OperationalError("the line was cut after the commit")

    wrap(BaseDatabaseWrapper, "_commit", commit_and_lose)


# Let a call without a response be over once its time-out is, and not minutes later.
short_slack = partial(setattr, calls, "SLACK_SECONDS", 0)

# The controls. Those that only set something to another value:

# E2 at the gateway: take a repeated request for a new one.
forget_idempotency_keys = partial(setattr, requests, "_request_id", lambda key: uuid4())  # noqa: ARG005
# E4: take an unanswered call for one that wasn't processed.
resend_unanswered_calls = partial(
    setattr,
    outcomes,
    "handle_lost_response",
    lambda job, attempt, _upstream: outcomes.postpone(job, attempt, Job.Reason.UNREACHABLE, 0),
)
# E5: renew no lease.
without_heartbeat = partial(setattr, claims, "heartbeat", lambda *_: True)
# E33: give up what the database doesn't commit at once.
insist_on_nothing = partial(setattr, execute, "INSIST_SECONDS", 0)


def book_first() -> None:
    """E1: store a result only after it was booked."""

    def book_and_store(_: object, job: Job, attempt: Attempt, body: TemporaryUploadedFile, *__: Any) -> None:
        files.check_picture(body)
        name = files.result_name(job, attempt.number)
        execute.book_result(job, attempt, name, files.sha256(body), body.tell())
        files.put(name, body)

    wrap(execute, "store_result", book_and_store)


def resend_lost_calls() -> None:
    """E2: take a call whose worker died for one that was never made."""

    def requeue(handle: Callable[..., None], job: Job, attempt: Attempt, upstream: Upstream) -> None:
        if attempt.state != Attempt.State.SENT:
            handle(job, attempt, upstream)
            return
        with claims.owned(job):
            attempts.unsend(attempt)
            claims.postpone(job, 0, claims.Reason.REPEATED)

    wrap(outcomes, "handle_lost_response", requeue)


def without_fence() -> None:
    """E5: look at neither the fence nor any state."""

    def release(_: object, job: Job, state: Job.State, reason: Job.Reason | None, **changes: Any) -> None:
        changes |= {"state": state, "reason": reason or "", "lease_until": None}
        Job.objects.filter(pk=job.pk).update(**changes)

    def move(_: object, attempt: Attempt, _expected: str, state: str, **changes: Any) -> None:
        changes |= {"state": state}
        Attempt.objects.filter(pk=attempt.pk).update(**changes)
        for name, value in changes.items():
            setattr(attempt, name, value)

    wrap(claims, "owned", lambda *_: transaction.atomic())
    wrap(claims, "check_owned", lambda *_: None)
    wrap(claims, "_release", release)
    wrap(attempts, "_move", move)


def without_shares() -> None:
    """E25: give the gateway's places to whoever comes first."""
    wrap(requests, "fetcher_for", lambda *_: requests.fetcher())
    wrap(ConcurrencyLimit, "_has_room_for", lambda _, limit, __: limit._places > limit._held.total())


def call_though_stopped() -> None:
    """E26: never see that calls are stopped."""

    def unaware(from_db: Callable[..., Ramp], *row: Any) -> Ramp:
        ramp = from_db(*row)
        ramp.stopped_at = None
        return ramp

    wrap(Ramp, "from_db", unaware)


def delete_strays() -> None:
    """E26: delete at once what no row names, whichever database the files belong to."""

    def sweep(*_: Any, **__: Any) -> strays.Report:
        names = set(inventory.stored_names())
        unnamed = sorted(names - inventory.referenced(names))
        for name in unnamed:
            default_storage.delete(name)
        return strays.Report(unnamed, [], len(names))

    wrap(instance, "establish", lambda *_: None)
    wrap(strays, "sweep", sweep)


def deliver_before_sending() -> None:
    """E18: mark a delivery as delivered, and send it a moment later."""

    def taken(take: Callable[[Delivery], bool], delivery: Delivery) -> bool:
        ours = take(delivery)
        Delivery.objects.filter(pk=delivery.pk).update(state=Delivery.State.DELIVERED, due_at=None)
        time.sleep(MOMENT_SECONDS)
        return ours

    wrap(webhooks, "_take", taken)


def without_guard() -> None:
    """E18: let webhooks reach private addresses."""
    networks = (ip_network("0.0.0.0/0"),)
    fetcher = Fetcher(webhooks.LIMITS, networks=networks, ports=settings.FETCH_PORTS)
    wrap(webhooks, "fetcher", lambda *_: fetcher)


def leak(size: int) -> None:
    """mixed: keep so many bytes for each call to the upstream."""

    def send_and_keep(send: Callable[..., Any], *args: Any, **options: Any) -> Any:
        _kept.append(b"x" * size)
        return send(*args, **options)

    wrap(Client, "_send", send_and_keep)


def keep_connections() -> None:
    """Use no pool: each thread keeps its database connection for ten minutes."""
    database = connections.settings["default"]
    database["OPTIONS"].pop("pool", None)
    database["CONN_MAX_AGE"] = 600


def restore_messages() -> None:
    """Keep messages in hand, and put them back over the broken connection, as Celery does by default."""
    virtual.Channel.do_restore = True
    celery.app.conf.broker_transport_options["ack_emulation"] = True
