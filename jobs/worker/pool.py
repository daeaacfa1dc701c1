"""Run jobs in the threads of a process, which keeps the leases of those in hand.

``manage.py worker`` lets the pool start its threads (``run``). Celery has threads of its own, and each
message lets one of them call ``run_once``.
"""

import threading
from contextlib import AbstractContextManager as Context

import structlog
from django.db import close_old_connections, connection

from jobs.audit import restored
from jobs.calls import outcomes
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY
from jobs.models import Job
from jobs.queue import claims, deaths, workers
from jobs.queue.heartbeat import RETRY_SECONDS, Heartbeat, process_name
from jobs.renditions import apply
from jobs.storage import files, leftovers
from jobs.worker import background, periodic
from jobs.worker.run import process
from jobs.worker.shared_claims import SharedClaims
from pixian.client.backoff import STEP_SECONDS, Backoff

log = structlog.get_logger(__name__)

JOIN_SECONDS = 1  # SIGTERM may come to another thread, and the main one handles it when it wakes


class WorkerPool:
    """Threads of a process that run jobs until ``stop`` is set; each then finishes the job in hand."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self._upstream = upstream
        self._threads = threads
        self._stop = stop
        self._claims = SharedClaims(stop)
        self._leases = Heartbeat(self._beat, lambda: workers.unregister(process_name()))

    def run(self) -> None:
        """Start the threads; return when ``stop`` is set and each has finished its job."""
        leftovers.sweep()
        beside = [threading.Thread(target=self._run_periodic_tasks, name="periodic")]
        beside += background.threads(self._stop)
        threads = [threading.Thread(target=self._work, name=f"t{n + 1}") for n in range(self._threads)]
        with self.beating():
            for thread in [*beside, *threads]:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(JOIN_SECONDS)
        for thread in beside:
            thread.join()
        connection.close()

    def beating(self) -> Context[None]:
        """Renew the leases meanwhile, also after ``stop``: the jobs in hand are finished."""
        deaths.announce()
        restored.check_at_start()
        return self._leases.beating()

    def run_once(self, backoff: Backoff, *, blocking: bool) -> float:
        """Run one job, if there is one; return the seconds until this thread's next turn.

        blocking: wait until there is one.
        """
        if not self._leases.is_steady:
            return RETRY_SECONDS
        try:
            name = f"{process_name()}:{threading.current_thread().name}"
            job = self._claims.next_job(name, blocking=blocking)
            return 0 if job is None else self._process(job, backoff)
        except claims.LostLeaseError as error:
            log.warning("lease lost, another worker has the job", job=str(error))
            return 0
        except DATABASE_AWAY as error:
            log.warning("the database doesn't answer", error=str(error).strip())
            return STEP_SECONDS
        except files.StorageUnavailableError as error:
            # Nothing is known of a paid result now. The job is taken up again once its lease has run out.
            log.warning("the storage doesn't answer", error=str(error))
            return STEP_SECONDS
        except Exception:
            # The lease runs out, and the job is taken up again from what its rows say.
            log.exception("a turn failed in an unexpected way")
            return STEP_SECONDS
        finally:
            close_old_connections()

    def _beat(self) -> None:
        workers.register(process_name(), self._threads)
        restored.check()

    def _process(self, job: Job, backoff: Backoff) -> int:
        with self._leases.held(job):
            try:
                wait = process(job, self._upstream, backoff)
            except (claims.LostLeaseError, files.StorageUnavailableError, *DATABASE_AWAY):
                raise
            except Exception:
                log.exception("a job failed in an unexpected way", job=job.pk)
                outcomes.put_back(job)
                return STEP_SECONDS
        apply.follow(job)
        return wait

    def _work(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            self._stop.wait(self.run_once(backoff, blocking=True))
        connection.close()

    def _run_periodic_tasks(self) -> None:
        while not self._stop.is_set():
            periodic.run_due(self._upstream, self._stop.is_set)
            close_old_connections()
            self._stop.wait(periodic.EVERY_SECONDS)
        connection.close()
