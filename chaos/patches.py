"""Everything of the product that experiments patch in their processes, and nothing else does.

Fast timings shorten when something happens, never if. The rest are places to harm a worker at, and the
controls: guards taken out, whose loss an experiment must notice.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.utils import timezone
from kombu.transport import virtual

from accounts.models import Team
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

STEP_SECONDS = 0.1  # after a 429, after a 5xx and between two tries to commit: 5, 5 and 1 s
POLL_SECONDS = 0.05  # between two looks at an empty queue: 0.2 s
WAIT_SECONDS = (
    0.5  # without a connection, until an operator acts, until there is room: 60 s; 8 s after an outage
)
RECEIVER_SECONDS = 0.5  # for a webhook's receiver: 10 s
TRIES = 50  # of a delivery, WAIT_SECONDS apart: 9, over two days

Plant = Callable[[], object] | None
"""A bug to plant in a process before it begins."""

PURGED_AFTER = timedelta(seconds=30)  # files of an erased picture: 5 min

DURING_SECONDS = 0.5
_beating = threading.Lock()
_kept: list[bytes] = []


def fast_timings(poll: float = POLL_SECONDS) -> None:
    """Shorten the product's waits here, and in every process forked from this one."""
    for module in (backoff, outcomes, pool):
        module.STEP_SECONDS = STEP_SECONDS  # type: ignore[attr-defined]
    shared_claims.POLL_SECONDS = background.PAUSE_SECONDS = poll  # type: ignore[assignment]
    execute.INSIST_STEP_SECONDS = STEP_SECONDS  # type: ignore[assignment]
    outcomes.ROOM_WAIT_SECONDS = WAIT_SECONDS  # type: ignore[assignment]
    heartbeat.STEADY_AFTER_SECONDS = WAIT_SECONDS  # type: ignore[assignment]
    run.UNREACHABLE_WAIT_SECONDS = run.OPERATOR_WAIT_SECONDS = WAIT_SECONDS  # type: ignore[assignment]
    # A killed worker's calls count until their leases end, and here many die.
    settings.CALLS_AT_START = settings.CALLS_IN_FLIGHT
    webhooks.LEASE, webhooks.POLL_SECONDS = timedelta(seconds=2), poll
    webhooks.BACKOFF = (timedelta(seconds=WAIT_SECONDS),) * TRIES  # type: ignore[assignment]
    webhooks.LIMITS = FetchLimits(max_bytes=2000, seconds=RECEIVER_SECONDS)


def compress_clock(times: float) -> None:
    """Let periodic tasks come due so many times as often, and pictures grow old so many times as fast."""
    for name, (first, every, task) in periodic.TASKS.items():
        periodic.TASKS[name] = first / times, every / times, task
    periodic.EVERY_SECONDS = max(1, periodic.EVERY_SECONDS / times)  # type: ignore[assignment]
    purge.GRACE = PURGED_AFTER
    of_age = due._of_age

    def of_compressed_age(team: Team, before: datetime) -> "QuerySet[Job]":
        now = timezone.now()
        return of_age(team, now - (now - before) / times)

    due._of_age = of_compressed_age


def see_only(job: int) -> None:
    """Let this worker claim one job only, and run no periodic tasks."""
    claimable = JobQuerySet.claimable

    def mine(jobs: JobQuerySet, now: datetime) -> JobQuerySet:
        return claimable(jobs, now).filter(pk=job)

    JobQuerySet.claimable = mine  # type: ignore[assignment,method-assign]
    periodic.run_due = lambda *_: None


def end_with(job: int) -> None:
    """Terminate this worker when the job has ended; no thread but the call's touches the database.

    Frozen amid a write, another thread would keep everybody from SQLite.
    """
    due = claims.any_claimable

    def due_or_over() -> bool:
        if not Job.objects.unfinished().filter(pk=job).exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return due()

    claims.any_claimable = due_or_over
    Heartbeat._renew = lambda self: True  # type: ignore[method-assign] # noqa: ARG005


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
    done, renew = getattr(point.owner, point.name), Heartbeat._renew

    def watched(*args: Any, **options: Any) -> Any:
        if point.when == "before":
            _freeze()
        if point.when == "during" and args[1].method == "POST":
            threading.Timer(DURING_SECONDS, _freeze).start()
        result = done(*args, **options)
        if point.when == "after":
            _freeze()
        return result

    def renewed(self: Heartbeat) -> bool:
        with _beating:
            return renew(self)

    setattr(point.owner, point.name, watched)
    Heartbeat._renew = renewed  # type: ignore[method-assign]


def _freeze() -> None:
    with _beating:
        # Signal this very thread: it would run on for a while if another one took the signal.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def on_booking(note: Callable[[Job, Attempt], None]) -> None:
    """Call ``note`` whenever this worker has committed the booking of a result."""
    book = execute.book_result

    def booked(job: Job, attempt: Attempt, *facts: Any) -> None:
        book(job, attempt, *facts)
        note(job, attempt)

    execute.book_result = run.book_result = booked  # type: ignore[assignment,attr-defined]


def short_slack() -> None:
    """Let a call without a response be over once its time-out is, and not minutes later."""
    calls.SLACK_SECONDS = 0


def lose_confirmations(share: float, seed: str) -> None:
    """Let a share of this process's commits go through, and cut the line before it hears of them."""
    commit, chance = BaseDatabaseWrapper._commit, random.Random(seed)  # type: ignore[attr-defined]  # noqa: S311

    def commit_and_lose(self: BaseDatabaseWrapper) -> None:
        commit(self)
        if chance.random() < share:
            self.connection.close()
            raise OperationalError("the line was cut after the commit")

    BaseDatabaseWrapper._commit = commit_and_lose  # type: ignore[attr-defined]


# Controls.


def book_first() -> None:
    """E1: store a result only after it was booked."""

    def book_and_store(job: Job, attempt: Attempt, body: TemporaryUploadedFile, _: Upstream) -> None:
        files.check_picture(body)
        name = files.result_name(job, attempt.number)
        execute.book_result(job, attempt, name, files.sha256(body), body.tell())
        files.put(name, body)

    execute.store_result = book_and_store  # type: ignore[assignment]


def resend_lost_calls() -> None:
    """E2: take a call whose worker died for one that was never made."""
    handle = outcomes.handle_lost_response

    def requeue(job: Job, attempt: Attempt, upstream: Upstream) -> None:
        if attempt.state != Attempt.State.SENT:
            handle(job, attempt, upstream)
            return
        with claims.owned(job):
            attempts.unsend(attempt)
            claims.postpone(job, 0, claims.Reason.REPEATED)

    outcomes.handle_lost_response = requeue


def forget_idempotency_keys() -> None:
    """E2 at the gateway: take a repeated request for a new one."""
    requests._request_id = lambda key: uuid4()  # noqa: ARG005 - named as the real one's


def resend_unanswered_calls() -> None:
    """E4: take an unanswered call for one that wasn't processed."""

    def resend(job: Job, attempt: Attempt, upstream: Upstream) -> None:  # noqa: ARG001 - as the real one
        outcomes.postpone(job, attempt, Job.Reason.UNREACHABLE, 0)

    outcomes.handle_lost_response = resend


def without_heartbeat() -> None:
    """E5: renew no lease."""
    claims.heartbeat = lambda *_: True


def without_fence() -> None:
    """E5: look at neither the fence nor any state."""

    @contextmanager
    def owned(_job: Job) -> Iterator[None]:
        with transaction.atomic():
            yield

    def release(job: Job, state: Job.State, reason: Job.Reason | None, **changes: Any) -> None:
        changes |= {"state": state, "reason": reason or "", "lease_until": None}
        Job.objects.filter(pk=job.pk).update(**changes)

    def move(attempt: Attempt, _expected: str, state: str, **changes: Any) -> None:
        changes |= {"state": state}
        Attempt.objects.filter(pk=attempt.pk).update(**changes)
        for name, value in changes.items():
            setattr(attempt, name, value)

    claims.owned, claims.check_owned = owned, lambda _job: None  # type: ignore[assignment]
    claims._release, attempts._move = release, move  # type: ignore[assignment]


def without_shares() -> None:
    """E25: give the gateway's places to whoever comes first."""
    requests.fetcher_for = lambda key: requests.fetcher()  # noqa: ARG005 - named as the real one's
    ConcurrencyLimit._has_room_for = lambda self, whose: self._places > self._held.total()  # type: ignore[method-assign] # noqa: ARG005


def call_though_stopped() -> None:
    """E26: never see that calls are stopped."""
    from_db = Ramp.from_db.__func__  # type: ignore[attr-defined]

    def unaware(model: type[Ramp], *row: Any) -> Ramp:
        ramp: Ramp = from_db(model, *row)
        ramp.stopped_at = None
        return ramp

    Ramp.from_db = classmethod(unaware)  # type: ignore[assignment]


def delete_strays() -> None:
    """E26: delete at once what no row names, whichever database the files belong to."""

    def sweep(**_: object) -> strays.Report:
        names = set(inventory.stored_names())
        unnamed = sorted(names - inventory.referenced(names))
        for name in unnamed:
            default_storage.delete(name)
        return strays.Report(unnamed, [], len(names))

    instance.establish, strays.sweep = lambda: None, sweep


def deliver_before_sending() -> None:
    """E18: mark a delivery as delivered, and then send it."""
    take = webhooks._take

    def taken(delivery: Delivery) -> bool:
        ours = take(delivery)
        Delivery.objects.filter(pk=delivery.pk).update(state=Delivery.State.DELIVERED, due_at=None)
        return ours

    webhooks._take = taken


def without_guard() -> None:
    """E18: let webhooks reach private addresses."""
    networks = (ip_network("0.0.0.0/0"),)
    fetcher = Fetcher(webhooks.LIMITS, networks=networks, ports=settings.FETCH_PORTS)
    webhooks.fetcher = lambda: fetcher  # type: ignore[assignment]


def insist_on_nothing() -> None:
    """E33: give up what the database doesn't commit at once."""
    execute.INSIST_SECONDS = 0


def leak(size: int) -> None:
    """mixed: keep so many bytes for each call to the upstream."""
    send = Client._send

    def send_and_keep(self: Client, *args: Any, **options: Any) -> Any:
        _kept.append(b"x" * size)
        return send(self, *args, **options)

    Client._send = send_and_keep  # type: ignore[method-assign]


def keep_connections() -> None:
    """Use no pool: each thread keeps its database connection for ten minutes."""
    database = connections.settings["default"]
    database["OPTIONS"].pop("pool", None)
    database["CONN_MAX_AGE"] = 600


def restore_messages() -> None:
    """Keep messages in hand, and put them back over the broken connection, as Celery does by default."""
    virtual.Channel.do_restore = True
    celery.app.conf.broker_transport_options["ack_emulation"] = True
