"""E1 with workers that don't die but freeze: the job is taken from them, and then they go on.

A worker that was swapped out, or stopped by a debugger, wakes up in the middle of a step and knows nothing of
what has happened meanwhile. Nothing that it still does may be seen in the books.
"""

import signal

from chaos.child import Child
from chaos.crash_cases import DEADLINE_SECONDS, Crashes, let_leases_end
from chaos.crash_doom import Doom

FROZEN_AT_ONCE = 12
IN_A_TRANSACTION = "before commit"
"""Whoever freezes there keeps its locks: nobody else can take the job, and on SQLite nobody can write."""


class Freezes(Crashes):
    """died: workers that froze, and woke up again."""

    def of(self, answer: str) -> None:
        names = self.names(answer)
        chosen = [at for at in self.chosen(answer, names) if names[at] != IN_A_TRANSACTION]
        for at in range(0, len(chosen), FROZEN_AT_ONCE):
            group = chosen[at : at + FROZEN_AT_ONCE]
            workers = [self._freeze(answer, names[number], number + 1) for number in group]
            let_leases_end()
            self.recover(idle=False)  # frozen amid a call, it keeps the upstream waiting
            for worker in workers:
                worker.thaw()
            self._await_the_end(workers)

    def _freeze(self, answer: str, name: str, point: int) -> Child:
        job = self.submit(answer, f"{answer}; frozen {name}, point {point}")
        worker = self.doomed(job, Doom(point, signal.SIGSTOP, self.plant))
        halted = worker.halted(DEADLINE_SECONDS)
        self.died += halted
        self.missed += not halted
        return worker

    def _await_the_end(self, workers: list[Child]) -> None:
        codes = [worker.wait(DEADLINE_SECONDS) for worker in workers]
        if any(codes):
            raise RuntimeError(f"workers that woke up ended with {codes}")
        self.site.upstream.wait_idle(DEADLINE_SECONDS)
