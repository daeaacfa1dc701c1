"""The threads of a worker process: claim, process, again; and the heartbeat that keeps their leases."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from jobs import files, queue
from jobs.models import Job
from jobs.process import process
from jobs.upstream import Upstream
from pixian.backoff import STEP_SECONDS, Backoff

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
HEARTBEATS_PER_LEASE = 3


class Worker:
    """Some threads that work until ``stop`` is set; each then finishes the job in hand."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self._upstream = upstream
        self._threads = [threading.Thread(target=self._work, name=f"t{n + 1}") for n in range(threads)]
        self._stop = stop
        self._asking = threading.Lock()
        self._leases: dict[int, int] = {}  # job → fence, of the jobs in hand

    def run(self) -> None:
        """Returns when ``stop`` is set and every thread has finished its job."""
        files.sweep_spool()
        done = threading.Event()
        heart = threading.Thread(target=self._beat, args=(done,), name="heartbeat")
        for thread in [heart, *self._threads]:
            thread.start()
        for thread in self._threads:
            thread.join()
        done.set()
        heart.join()

    def _work(self) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}:{threading.current_thread().name}"
        backoff = Backoff()
        while not self._stop.is_set():
            self._stop.wait(self._turn(name, backoff))
        connection.close()

    def _turn(self, name: str, backoff: Backoff) -> float:
        """One job, if there is one; returns the seconds until this thread's next turn."""
        try:
            job = self._ask(name)
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

    def _ask(self, name: str) -> Job | None:
        """The next job; None when told to stop. One thread asks at a time and the others wait behind it,
        so that a quiet worker costs one small query a turn, however many threads it has."""
        with self._asking:
            while not self._stop.is_set():
                if queue.due() and (job := queue.claim(name)):
                    return job
                self._stop.wait(POLL_SECONDS)
        return None

    def _process(self, job: Job, backoff: Backoff) -> int:
        with self._in_hand(job):
            wait = process(job, self._upstream, backoff)
        job.refresh_from_db(fields=["state", "reason"])
        log.info("job", job=job.pk, team=job.team.slug, state=job.state, reason=job.reason or None)
        return wait

    @contextmanager
    def _in_hand(self, job: Job) -> Iterator[None]:
        self._leases[job.pk] = job.fence
        try:
            yield
        finally:
            del self._leases[job.pk]

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE):
            for job_pk, fence in list(self._leases.items()):
                try:
                    queue.heartbeat(job_pk, fence)
                except DatabaseError as error:
                    log.warning("a lease could not be renewed", job=job_pk, error=str(error).strip())
        connection.close()
