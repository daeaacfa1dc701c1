"""What one process has in hand: a heartbeat keeps the leases of its jobs."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from jobs.models import Job
from jobs.queue import claims

log = structlog.get_logger(__name__)

HEARTBEATS_PER_LEASE = 3
BEAT_AGAIN_SECONDS = 1


def nothing() -> None:
    """What there is to do besides, by default."""


class Heartbeat:
    """Shared by the threads of a process. With each beat ``on_beat`` is called, and ``on_stop`` once at the
    end; both may use the database."""

    def __init__(self, on_beat: Callable[[], None] = nothing, on_stop: Callable[[], None] = nothing) -> None:
        self._on_beat = on_beat
        self._on_stop = on_stop
        self._held: set[tuple[int, int]] = set()  # (job, fence): a job may come back to another thread

    @contextmanager
    def held(self, job: Job) -> Iterator[None]:
        """Meanwhile the job's lease is renewed."""
        lease = (job.pk, job.fence)
        self._held.add(lease)
        try:
            yield
        finally:
            self._held.remove(lease)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Meanwhile the heart beats."""
        done = threading.Event()
        heart = threading.Thread(target=self.beat, args=(done,), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()

    def beat(self, done: threading.Event) -> None:
        """Until ``done`` is set."""
        pause = 0.0
        while not done.wait(pause):
            # A database that is away answers late that it is, and the leases go on running out meanwhile.
            pause = settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE if self._renew() else BEAT_AGAIN_SECONDS
        with suppress(OperationalError, InterfaceError):
            self._on_stop()
        connection.close()

    def _renew(self) -> bool:
        try:
            for job_pk, fence in list(self._held):
                claims.heartbeat(job_pk, fence)
            self._on_beat()
        except (OperationalError, InterfaceError) as error:
            log.warning("leases could not be renewed", jobs=list(self._held), error=str(error).strip())
            return False
        except Exception:
            log.exception("leases could not be renewed", jobs=list(self._held))  # and the heart beats on
            return False
        finally:
            close_old_connections()
        return True


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
