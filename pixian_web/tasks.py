"""What Celery's workers do with a message. The rows decide; see ``pixian_web.celery``."""

import threading
from contextlib import ExitStack
from functools import cache
from typing import Any

from celery import signals
from django.db import close_old_connections

from jobs import chores, leftovers, queue
from jobs.hands import Hands
from jobs.upstream import Upstream, connect
from pixian.backoff import Backoff
from pixian_web.celery import CHORES, LOOK, LOOK_AGAIN, LOOK_AGAIN_SECONDS, app, wake

stopping = threading.Event()
of_this_process = ExitStack()
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


@app.task(name=CHORES)
def keep_house() -> None:
    chores.do_what_is_due(_upstream(), stopping.is_set)


@signals.worker_init.connect
def begin(**_: Any) -> None:
    """Before any message, so that a worker without work is seen too."""
    _hands()


@signals.worker_shutting_down.connect
def stop(**_: Any) -> None:
    """The jobs in hand are finished, no other is begun."""
    stopping.set()


@signals.worker_shutdown.connect
def end(**_: Any) -> None:
    """They are finished."""
    of_this_process.close()


@cache
def _upstream() -> Upstream:
    return connect()


@cache
def _hands() -> Hands:
    """This process's. The heart beats until ``end``; a stack keeps it, since a context manager that nobody
    holds is left at once."""
    leftovers.sweep()
    hands = Hands(_upstream(), app.conf.worker_concurrency, stopping)
    of_this_process.enter_context(hands.beating())
    return hands
