"""A process that takes turns at the queue, its jobs' leases kept meanwhile.

How a turn comes about is the caller's: threads that poll (``jobs.worker.threads``) or messages that wake them
(``pixian_web.celery``).
"""

import threading
from contextlib import AbstractContextManager as Context

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from jobs.calls.upstream import Upstream
from jobs.models import Job
from jobs.queue import claims, concurrency, workers
from jobs.queue.heartbeat import Heartbeat, process_name
from jobs.worker.run import process
from pixian.client.backoff import STEP_SECONDS, Backoff

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2


class WorkerPool:
    """Shared by the threads of a process; no turn begins once ``stop`` is set."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self.stop = stop
        self._upstream = upstream
        self._asking = threading.Lock()
        self._busy = False  # the last claim brought something
        name = process_name()
        self._leases = Heartbeat(lambda: workers.register(name, threads), lambda: workers.unregister(name))

    def beating(self) -> Context[None]:
        """Meanwhile leases are renewed, also after ``stop``: the jobs in hand are finished."""
        return self._leases.beating()

    def run_once(self, backoff: Backoff, *, blocking: bool) -> float:
        """One job, if there is one; returns the seconds until this thread's next turn.

        blocking: wait until there is one.
        """
        try:
            job = self._ask(f"{process_name()}:{threading.current_thread().name}", blocking)
            return 0 if job is None else self._process(job, backoff)
        except claims.LostLeaseError as error:
            log.warning("lease lost, another worker has the job", job=str(error))
            return 0
        except (OperationalError, InterfaceError) as error:
            log.warning("the database doesn't answer", error=str(error).strip())
            return STEP_SECONDS
        except Exception:
            # The lease runs out, and the job is taken up again from what its rows say.
            log.exception("a job failed in an unexpected way")
            return STEP_SECONDS
        finally:
            close_old_connections()

    def _ask(self, name: str, blocking: bool) -> Job | None:  # noqa: FBT001
        """The next job; None when told to stop or, unless blocking, if nothing is due. One thread asks
        at a time and the others wait behind it, so that a quiet worker costs one small query a turn,
        however many threads it has."""
        with self._asking:
            while not self.stop.is_set():
                # While there is work a claim is all it takes; its transaction isn't worth it otherwise.
                if self._busy or (claims.any_claimable() and concurrency.free_calls() > 0):
                    job = claims.claim(name)
                    self._busy = job is not None
                    if job:
                        return job
                if not (blocking or claims.any_claimable()):
                    break
                self.stop.wait(POLL_SECONDS)
        return None

    def _process(self, job: Job, backoff: Backoff) -> int:
        with self._leases.held(job):
            wait = process(job, self._upstream, backoff)
        log.info("job", job=job.pk, team=job.team.slug, state=job.state, reason=job.reason or None)
        return wait
