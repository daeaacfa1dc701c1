"""What one process has in hand: it takes turns at the queue, and a heartbeat keeps the leases of its jobs.

How a turn comes about is the caller's: threads that poll (``jobs.worker``) or messages that wake them
(``pixian_web.celery``).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from jobs import presence, queue
from jobs.models import Job
from jobs.process import process
from jobs.upstream import Upstream
from pixian.backoff import STEP_SECONDS, Backoff

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
HEARTBEATS_PER_LEASE = 3
BEAT_AGAIN_SECONDS = 1


class Hands:
    """Shared by the threads of a process; no turn begins once ``stop`` is set."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self.stop = stop
        self._upstream = upstream
        self._threads = threads
        self._asking = threading.Lock()
        self._busy = False  # the last claim brought something
        self._leases: set[tuple[int, int]] = set()  # (job, fence): a job may come back to another thread

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Meanwhile leases are renewed, also after ``stop``: the jobs in hand are finished."""
        done = threading.Event()
        heart = threading.Thread(target=self._beat, args=(done,), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()

    def turn(self, backoff: Backoff, *, patient: bool) -> float:
        """One job, if there is one; returns the seconds until this thread's next turn.

        patient: wait until there is one.
        """
        try:
            job = self._ask(f"{process_name()}:{threading.current_thread().name}", patient)
            return 0 if job is None else self._process(job, backoff)
        except queue.LostLeaseError as error:
            log.warning("lease lost, another worker has the job", job=str(error))
            return 0
        except DatabaseError as error:
            log.warning("the database doesn't answer", error=str(error).strip())
            return STEP_SECONDS
        except Exception:
            # The lease runs out, and the job is taken up again from what its rows say.
            log.exception("a job failed in an unexpected way")
            return STEP_SECONDS
        finally:
            close_old_connections()

    def _ask(self, name: str, patient: bool) -> Job | None:  # noqa: FBT001
        """The next job; None when told to stop or, unless patient, where nothing is due. One thread asks
        at a time and the others wait behind it, so that a quiet worker costs one small query a turn,
        however many threads it has."""
        with self._asking:
            while not self.stop.is_set():
                # While there is work a claim is all it takes; its transaction isn't worth it otherwise.
                if self._busy or (queue.due() and queue.free_calls() > 0):
                    job = queue.claim(name)
                    self._busy = job is not None
                    if job:
                        return job
                if not (patient or queue.due()):
                    break
                self.stop.wait(POLL_SECONDS)
        return None

    def _process(self, job: Job, backoff: Backoff) -> int:
        lease = (job.pk, job.fence)
        self._leases.add(lease)
        try:
            wait = process(job, self._upstream, backoff)
        finally:
            self._leases.remove(lease)
        log.info("job", job=job.pk, team=job.team.slug, state=job.state, reason=job.reason or None)
        return wait

    def _beat(self, done: threading.Event) -> None:
        name, pause = process_name(), 0.0
        while not done.wait(pause):
            renewed = self._renew(name)
            # A database that is away answers late that it is, and the leases go on running out meanwhile.
            pause = settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE if renewed else BEAT_AGAIN_SECONDS
        with suppress(DatabaseError):
            presence.leave(name)
        connection.close()

    def _renew(self, name: str) -> bool:
        try:
            for job_pk, fence in list(self._leases):
                queue.heartbeat(job_pk, fence)
            presence.show(name, self._threads)
        except (DatabaseError, InterfaceError) as error:
            log.warning("leases could not be renewed", jobs=list(self._leases), error=str(error).strip())
            return False
        finally:
            close_old_connections()
        return True


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
