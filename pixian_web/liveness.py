"""Probe the database without waiting for one that hangs."""

import time
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

import structlog
from django.db import InterfaceError, OperationalError, connection

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1
"""Leaves enough of a probe's two seconds on a busy machine."""


@dataclass
class Probe:
    """One query to the database; ``succeeded`` is meaningful once ``done`` is set."""

    started_at: float = field(default_factory=time.monotonic)
    done: Event = field(default_factory=Event)
    succeeded: bool = False

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self.succeeded = True
        except (OperationalError, InterfaceError) as error:
            # The traceback would say nothing more; any other error is a bug, and gets one.
            log.error("the database isn't responding", error=str(error).strip())  # noqa: TRY400
        except Exception:
            log.exception("the probe of the database failed")
        finally:
            self.done.set()
            connection.close()


_lock = Lock()
_last = Probe()
_last.done.set()


def database_answers() -> bool:
    """Return True if the database responds, and return within two seconds.

    Simultaneous callers share one probe, so that probes use up neither the database's connections nor, while
    it hangs, this process's threads.
    """
    global _last  # noqa: PLW0603 - one in each process
    with _lock:
        if _last.done.is_set():
            _last = Probe()
            # The query can't be interrupted, so a hanging thread is left behind; a daemon doesn't keep the
            # process.
            Thread(target=_last.run, name="probe", daemon=True).start()
        probe = _last
    probe.done.wait(max(0, probe.started_at + WAIT_SECONDS - time.monotonic()))
    return probe.succeeded
