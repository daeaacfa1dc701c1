"""What Celery's workers do with a message. The rows decide; see ``pixian_web.celery``."""

import threading
from functools import cache
from typing import Any

from celery import signals
from django.db import close_old_connections

from jobs import files, queue
from jobs.hands import Hands
from jobs.upstream import Upstream, connect
from pixian.backoff import Backoff
from pixian_web.celery import LOOK, LOOK_AGAIN, LOOK_AGAIN_SECONDS, app, wake

stopping = threading.Event()
of_this_thread = threading.local()


@app.task(name=LOOK)
def look() -> None:
    """One turn, and the wait that the upstream asks of this thread."""
    if not hasattr(of_this_thread, "backoff"):
        of_this_thread.backoff = Backoff()
    stopping.wait(_hands().turn(of_this_thread.backoff, patient=False))


@app.task(name=LOOK_AGAIN)
def look_again() -> None:
    """What is due by now, was announced to a broker that lost it, or was left behind."""
    try:
        wake(queue.worth_a_look(), expires=LOOK_AGAIN_SECONDS)
    finally:
        close_old_connections()


@signals.worker_shutting_down.connect
def stop(**_: Any) -> None:
    """The jobs in hand are finished, no other is begun."""
    stopping.set()


@cache
def _upstream() -> Upstream:
    return connect()


@cache
def _hands() -> Hands:
    """This process's, begun with its first message; the heartbeat ends with the process."""
    files.sweep_spool()
    hands = Hands(_upstream(), app.conf.worker_concurrency, stopping)
    hands.beating().__enter__()
    return hands
