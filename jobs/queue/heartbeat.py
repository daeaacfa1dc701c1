"""Renew the leases of the jobs that a process has in hand."""

import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

import structlog
from django.conf import settings
from django.db import close_old_connections, connection

from jobs.connections import DATABASE_AWAY
from jobs.models import Job
from jobs.queue import claims

log = structlog.get_logger(__name__)

HEARTBEATS_PER_LEASE = 3
RETRY_SECONDS = 1
STEADY_AFTER_SECONDS = 8
"""A process that has its database back waits so long before it claims, while others who live renew their
leases: their pools take up to 5 s to find the server again, and their heartbeats another one."""


def do_nothing() -> None:
    """Do nothing, which is the default of both callbacks."""


class Heartbeat:
    """Renews the leases of a process, for all of its threads.

    on_beat: called with each beat. on_stop: called once at the end. Both may use the database.
    """

    def __init__(
        self, on_beat: Callable[[], None] = do_nothing, on_stop: Callable[[], None] = do_nothing
    ) -> None:
        self._on_beat = on_beat
        self._on_stop = on_stop
        self._held: set[tuple[int, int]] = set()  # (job, fence): a job may come back to another thread
        self._steady_from = 0.0  # on the monotonic clock

    @contextmanager
    def held(self, job: Job) -> Iterator[None]:
        """Renew the job's lease meanwhile."""
        lease = (job.pk, job.fence)
        self._held.add(lease)
        try:
            yield
        finally:
            self._held.remove(lease)

    @property
    def is_steady(self) -> bool:
        """Tell if this process may claim: the database isn't away, and hasn't just been.

        After a time that is longer than a lease all leases have run out, also those of processes that live.
        """
        return time.monotonic() >= self._steady_from

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat meanwhile, in a thread."""
        done = threading.Event()
        thread = threading.Thread(target=self.beat, args=(done,), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def beat(self, done: threading.Event) -> None:
        """Beat until ``done`` is set."""
        pause = 0.0
        while not done.wait(pause):
            # A database that is away takes long to fail, and the leases go on running out meanwhile.
            pause = settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE if self._renew() else RETRY_SECONDS
        with suppress(*DATABASE_AWAY):
            self._on_stop()
        connection.close()

    def _renew(self) -> bool:
        try:
            for job_pk, fence in list(self._held):
                claims.heartbeat(job_pk, fence)
            self._on_beat()
        except DATABASE_AWAY as error:
            log.warning("leases could not be renewed", jobs=list(self._held), error=str(error).strip())
            self._steady_from = math.inf
            return False
        except Exception:
            # A fault of ours must not end the heartbeat.
            log.exception("leases could not be renewed", jobs=list(self._held))
            self._note_that_database_answers()
            return False
        finally:
            close_old_connections()
        self._note_that_database_answers()
        return True

    def _note_that_database_answers(self) -> None:
        if self._steady_from == math.inf:
            self._steady_from = time.monotonic() + STEADY_AFTER_SECONDS


def process_name() -> str:
    """Return a name that no other process has or had, also where each container's process has the id 1."""
    return f"{socket.gethostname()}:{os.getpid()}:{_token(os.getpid())}"


@cache
def _token(_pid: int) -> str:
    """Return some random digits; others after a fork."""
    return secrets.token_hex(3)
