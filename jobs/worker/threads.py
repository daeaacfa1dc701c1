"""The threads of a worker process: a turn, the wait that the upstream asks for, again."""

import threading

from django.db import close_old_connections, connection

from jobs.calls.upstream import Upstream
from jobs.storage import leftovers
from jobs.worker import periodic
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff

HEARS_EVERY_SECONDS = 1


class Worker:
    """Some threads that work until ``stop`` is set; each then finishes the job in hand."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self._upstream = upstream
        self._pool = WorkerPool(upstream, threads, stop)
        self._threads = [threading.Thread(target=self._work, name=f"t{n + 1}") for n in range(threads)]
        self._stop = stop

    def run(self) -> None:
        """Returns when ``stop`` is set and every thread has finished its job."""
        leftovers.sweep()
        housekeeper = threading.Thread(target=self._keep_house, name="chores")
        with self._pool.beating():
            for thread in [housekeeper, *self._threads]:
                thread.start()
            for thread in self._threads:
                while thread.is_alive():
                    # SIGTERM may come to another thread, and is heard when this one wakes.
                    thread.join(HEARS_EVERY_SECONDS)
        housekeeper.join()

    def _work(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            self._stop.wait(self._pool.run_once(backoff, blocking=True))
        connection.close()

    def _keep_house(self) -> None:
        while not self._stop.is_set():
            periodic.run_due(self._upstream, self._stop.is_set)
            close_old_connections()
            self._stop.wait(periodic.EVERY_SECONDS)
        connection.close()
