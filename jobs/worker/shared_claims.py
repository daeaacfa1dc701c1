"""Claim jobs for all free threads of a process at once.

Threads that become free while another one asks the database wait for it, and it asks for all of them the
next time. So a busy process has one claim under way, a quiet one costs one small query a turn, and no job
is claimed before a thread is free to run it.
"""

import threading
from dataclasses import dataclass

from jobs.connections import give_back
from jobs.models import Job
from jobs.queue import claims, concurrency

POLL_SECONDS = 0.2


@dataclass(eq=False)
class _Request:
    """A free thread's request for a job. worker: the name in which it is claimed."""

    worker: str
    job: Job | None = None


class SharedClaims:
    """The claims of a process, for all of its threads. Nothing is claimed once ``stop`` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._requests: list[_Request] = []
        self._arrivals = 0
        self._is_claiming = False
        self._is_busy = False  # the last claim brought something

    def next_job(self, worker: str, *, blocking: bool) -> Job | None:
        """Return a job that is claimed for the worker.

        None once ``stop`` is set or, unless blocking, if nothing is due.
        """
        request = _Request(worker)
        with self._changed:
            self._requests.append(request)
            self._arrivals += 1
            self._changed.notify_all()  # the thread that claims: a call may have ended here and made room
            self._changed.wait_for(lambda: request.job or not self._is_claiming)
            if request.job:
                return request.job
            self._is_claiming = True
        try:
            return self._claim(request, blocking=blocking)
        finally:
            with self._changed:
                self._is_claiming = False
                if request in self._requests:
                    self._requests.remove(request)
                self._changed.notify_all()

    def _claim(self, own: _Request, *, blocking: bool) -> Job | None:
        """Claim for all free threads until there is a job for this one."""
        while not self._stop.is_set():
            with self._changed:
                requests, arrivals = list(self._requests), self._arrivals
            # While there is work a claim is all it takes; otherwise its transaction isn't worth it.
            if self._is_busy or (claims.any_claimable() and concurrency.free_calls() > 0):
                self._hand_out(requests, claims.claim_each([request.worker for request in requests]))
            if own.job or not (blocking or claims.any_claimable()):
                break
            give_back()  # the connection: the calls in hand need one to end
            self._wait_for_another(arrivals)
        return own.job

    def _wait_for_another(self, arrivals: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._arrivals != arrivals, POLL_SECONDS)

    def _hand_out(self, requests: list[_Request], jobs: list[Job]) -> None:
        with self._changed:
            self._is_busy = bool(jobs)
            for request, job in zip(requests, jobs, strict=False):
                request.job = job
                self._requests.remove(request)
            self._changed.notify_all()
