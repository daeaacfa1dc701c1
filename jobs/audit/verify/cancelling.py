"""Cancel a long query once its process is asked to end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import OperationalError, connection

from jobs.storage import interruptible
from jobs.storage.interruptible import Stop, StoppedError

LOOKS_EVERY_SECONDS = 0.25
CANCELS_WITHIN_SECONDS = 2


@contextmanager
def cancelled_when_stopped(stop: Stop) -> Iterator[None]:
    """Cancel this thread's queries once ``stop`` returns True, and raise StoppedError."""
    if stop is interruptible.keep_going:
        yield
        return
    through = threading.Event()
    watcher = threading.Thread(target=_watch, args=(stop, through, connection.connection), daemon=True)
    watcher.start()
    try:
        yield
    except OperationalError as error:
        if stop():
            raise StoppedError from error
        raise
    finally:
        # Before anything else uses the connection: a late cancel would hit that.
        through.set()
        watcher.join()


def _watch(stop: Stop, through: threading.Event, open_connection: Any) -> None:
    # Again and again, since a cancel between two queries has no effect.
    while not through.wait(LOOKS_EVERY_SECONDS):
        if stop():
            with suppress(psycopg.Error):
                _cancel(open_connection)


def _cancel(open_connection: Any) -> None:
    if isinstance(open_connection, psycopg.Connection):
        open_connection.cancel_safe(timeout=CANCELS_WITHIN_SECONDS)
    else:
        open_connection.interrupt()
