"""Act on messages in Celery's workers. The rows decide; see ``pixian_web.celery``."""

import threading
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from typing import Any

import structlog
from celery import signals
from celery.worker import WorkController
from django.db import close_old_connections, connection

from jobs.calls.upstream import Upstream, connect
from jobs.connections import DATABASE_AWAY
from jobs.metrics import files
from jobs.queue import claims
from jobs.storage import leftovers
from jobs.worker import background, periodic
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff
from pixian_web.celery import ANNOUNCE, ANNOUNCE_SECONDS, LOOK, RUN_PERIODIC_TASKS, app, wake

log = structlog.get_logger(__name__)

POLL_SECONDS = 10
"""Between two looks of a worker's own, if no message comes: beat is dead, or the broker is away."""

BEAT_NOTED_EVERY = timedelta(seconds=10)

stopping = threading.Event()
until_shutdown = ExitStack()
this_thread = threading.local()


@app.task(name=LOOK)
def look() -> None:
    """Run one job, if there is one, and wait as long as the upstream asks this thread to."""
    if not hasattr(this_thread, "backoff"):
        this_thread.backoff = Backoff()
    with _places():
        stopping.wait(_pool().run_once(this_thread.backoff, blocking=False))


@app.task(name=ANNOUNCE)
def announce() -> None:
    """Announce the jobs that are due by now, whose message the broker lost, or that were left behind."""
    try:
        periodic.note_beat(BEAT_NOTED_EVERY)
        wake(claims.claimable_count(), expires=ANNOUNCE_SECONDS)
    finally:
        close_old_connections()


@app.task(name=RUN_PERIODIC_TASKS)
def run_periodic_tasks() -> None:
    periodic.run_due(_upstream(), stopping.is_set)


@signals.worker_init.connect
def start(sender: WorkController, **_: Any) -> None:
    """Begin the heartbeat before any message comes, so that a worker without work is seen too."""
    app.conf.worker_concurrency = sender.concurrency  # which the command line may have changed
    try:
        _pool()
    except Exception:
        # Celery logs what a receiver raises, and goes on; half of this worker would be missing.
        log.exception("the worker can't start")
        raise SystemExit(1) from None
    for number in range(sender.concurrency):
        _start(threading.Thread(target=_poll, name=f"poll{number + 1}", daemon=True))
    for thread in background.threads(stopping):
        _start(thread)


@signals.worker_shutting_down.connect
def stop(**_: Any) -> None:
    """Let the jobs in hand be finished, and no other begin."""
    stopping.set()


@signals.worker_shutdown.connect
def shut_down(**_: Any) -> None:
    """End the heartbeat, once they are finished."""
    until_shutdown.close()


def _start(thread: threading.Thread) -> None:
    until_shutdown.callback(thread.join)  # before the heartbeat ends: it may have a job in hand
    thread.start()


def _poll() -> None:
    """Run jobs that no message has announced, while any is due and a place is free."""
    backoff = Backoff()
    while not stopping.wait(POLL_SECONDS):
        while not stopping.is_set() and _is_due() and _places().acquire(blocking=False):
            try:
                stopping.wait(_pool().run_once(backoff, blocking=False))
            finally:
                _places().release()
    connection.close()


def _is_due() -> bool:
    try:
        return bool(claims.claimable_count())
    except DATABASE_AWAY as error:
        log.warning("the database doesn't answer", error=str(error).strip())
        return False
    finally:
        close_old_connections()


@cache
def _places() -> threading.Semaphore:
    """Return as many places as there are threads: messages and polls together run no more jobs at once."""
    return threading.Semaphore(app.conf.worker_concurrency)


@cache
def _upstream() -> Upstream:
    return connect()


@cache
def _pool() -> WorkerPool:
    """Return the pool of this process, with a heartbeat until ``shut_down``."""
    leftovers.sweep()
    files.share()
    pool = WorkerPool(_upstream(), app.conf.worker_concurrency, stopping)
    until_shutdown.enter_context(pool.beating())  # which would end at once if nothing referred to it
    return pool
