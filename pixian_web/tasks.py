"""What Celery's workers do with a message. The rows decide; see ``pixian_web.celery``."""

import threading
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from typing import Any

import structlog
from celery import signals
from celery.worker import WorkController
from django.db import InterfaceError, OperationalError, close_old_connections

from jobs.calls.upstream import Upstream, connect
from jobs.queue import claims
from jobs.storage import leftovers
from jobs.worker import periodic
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff
from pixian_web.celery import CHORES, LOOK, LOOK_AGAIN, LOOK_AGAIN_SECONDS, app, wake

log = structlog.get_logger(__name__)

POLL_SECONDS = 10
"""Between two looks of a worker's own, in case no message comes: beat is dead, or the broker is away."""

BEAT_NOTED_EVERY = timedelta(seconds=10)

stopping = threading.Event()
of_this_process = ExitStack()
of_this_thread = threading.local()


@app.task(name=LOOK)
def look() -> None:
    """One turn, and the wait that the upstream asks of this thread."""
    if not hasattr(of_this_thread, "backoff"):
        of_this_thread.backoff = Backoff()
    with _places():
        stopping.wait(_pool().run_once(of_this_thread.backoff, blocking=False))


@app.task(name=LOOK_AGAIN)
def look_again() -> None:
    """Announce jobs that are due by now, whose message a broker lost, or that a worker left behind."""
    try:
        periodic.note_beat(BEAT_NOTED_EVERY)
        wake(claims.claimable_count(), expires=LOOK_AGAIN_SECONDS)
    finally:
        close_old_connections()


@app.task(name=CHORES)
def keep_house() -> None:
    periodic.run_due(_upstream(), stopping.is_set)


@signals.worker_init.connect
def begin(sender: WorkController, **_: Any) -> None:
    """Before any message, so that a worker without work is seen too."""
    app.conf.worker_concurrency = sender.concurrency  # which the command line may have changed
    _pool()
    for number in range(sender.concurrency):
        thread = threading.Thread(target=_poll, name=f"poll{number + 1}", daemon=True)
        of_this_process.callback(thread.join)  # before the heart stops: it may have a job in hand
        thread.start()


@signals.worker_shutting_down.connect
def stop(**_: Any) -> None:
    """Finish the jobs in hand and begin no other."""
    stopping.set()


@signals.worker_shutdown.connect
def end(**_: Any) -> None:
    """They are finished."""
    of_this_process.close()


def _poll() -> None:
    """Take turns while something is due that no message has told of, and a place is free."""
    backoff = Backoff()
    while not stopping.wait(POLL_SECONDS):
        while not stopping.is_set() and _is_due() and _places().acquire(blocking=False):
            try:
                stopping.wait(_pool().run_once(backoff, blocking=False))
            finally:
                _places().release()


def _is_due() -> bool:
    try:
        return bool(claims.claimable_count())
    except (OperationalError, InterfaceError) as error:
        log.warning("the database doesn't answer", error=str(error).strip())
        return False
    finally:
        close_old_connections()


@cache
def _places() -> threading.Semaphore:
    """As many as there are threads, so that messages and polls together take no more jobs at once."""
    return threading.Semaphore(app.conf.worker_concurrency)


@cache
def _upstream() -> Upstream:
    return connect()


@cache
def _pool() -> WorkerPool:
    """Return this process's pool, whose heart beats until ``end``.

    A stack keeps it, since a context manager that nothing holds is left at once.
    """
    leftovers.sweep()
    pool = WorkerPool(_upstream(), app.conf.worker_concurrency, stopping)
    of_this_process.enter_context(pool.beating())
    return pool
