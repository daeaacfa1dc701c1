"""The threads of a worker process: a turn, the wait that the upstream asks for, again."""

import threading

from django.db import connection

from jobs import files
from jobs.hands import Hands
from jobs.upstream import Upstream
from pixian.backoff import Backoff


class Worker:
    """Some threads that work until ``stop`` is set; each then finishes the job in hand."""

    def __init__(self, upstream: Upstream, threads: int, stop: threading.Event) -> None:
        self._hands = Hands(upstream, threads, stop)
        self._threads = [threading.Thread(target=self._work, name=f"t{n + 1}") for n in range(threads)]
        self._stop = stop

    def run(self) -> None:
        """Returns when ``stop`` is set and every thread has finished its job."""
        files.sweep_spool()
        with self._hands.beating():
            for thread in self._threads:
                thread.start()
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            self._stop.wait(self._hands.turn(backoff, patient=True))
        connection.close()
