"""Do the work that costs no call, beside the calls.

It frees the calls of processes that died, starts what waited for credits, restyles pictures, fetches
addresses, finds batches finished, warns people and sends webhooks.

Each kind of work has a thread of its own in each worker process, so that none waits for another.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import close_old_connections, connection

from jobs.batches import control, sources
from jobs.connections import DATABASE_AWAY
from jobs.events import alerts, finished, webhooks
from jobs.queue import deaths
from jobs.renditions import wanted
from jobs.storage.interruptible import Stop

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 3

KINDS: dict[str, Callable[[Stop], int]] = {
    "deaths": lambda _stop: deaths.find(),
    "credits": control.start_kept,
    "renditions": wanted.make_wanted,
    "addresses": sources.fetch_due,
    "batches": finished.finish_due,
    "alerts": alerts.warn_due,
    "webhooks": webhooks.send_due,
}
"""Each does what there is to do and returns how much that was. Several processes may do it at once."""


def threads(stop: threading.Event) -> list[threading.Thread]:
    """Return a thread for each kind of work, which ends once ``stop`` is set."""
    return [threading.Thread(target=_run, name=name, args=(name, stop)) for name in KINDS]


def run_once(name: str, stop: Stop) -> int:
    """Do one kind of work; nothing that goes wrong in it stops a worker. Return how much was done."""
    try:
        return KINDS[name](stop)
    except (*DATABASE_AWAY, OSError) as error:
        log.warning("work in the background failed", kind=name, error=str(error).strip())
    except Exception:
        log.exception("work in the background failed in an unexpected way", kind=name)
    finally:
        close_old_connections()
    return 0


def _run(name: str, stop: threading.Event) -> None:
    while not stop.is_set():
        if not run_once(name, stop.is_set):
            stop.wait(PAUSE_SECONDS)
    connection.close()
