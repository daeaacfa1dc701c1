"""E2 on its stage: processes that die at random, and jobs for them to die at."""

import argparse
import random
import time
from collections.abc import Callable, Iterable

from chaos.child import Child
from chaos.site import Site

BETWEEN_KILLS_SECONDS = 0.3, 3
WAITING_JOBS = 30
"""There are always so many, so that every death finds a worker at work."""

LOOK_EVERY_SECONDS = 0.02
SETTLES_WITHIN_SECONDS = 120

Start = Callable[[], Child]


class Kills:
    """Processes that are killed at random, and started again at once."""

    def __init__(self, site: Site, options: argparse.Namespace, starts: Iterable[Start]) -> None:
        self._site = site
        self._scale = options.scale
        self._random = random.Random(options.seed)  # noqa: S311 - it is to replay
        self._starts = list(starts)
        self._processes = [start() for start in self._starts]

    def run(self, kills: int) -> None:
        shortest, longest = (seconds * self._scale for seconds in BETWEEN_KILLS_SECONDS)
        for _ in range(kills):
            self._keep_busy(self._random.uniform(shortest, longest))
            place = self._random.randrange(len(self._processes))
            self._processes[place].kill()
            self._processes[place] = self._starts[place]()

    def settle(self) -> None:
        """The last ones finish what there is, and end as an operator would end them."""
        self._site.settled(SETTLES_WITHIN_SECONDS)
        codes = [process.end() for process in self._processes]
        if any(codes):
            raise RuntimeError(f"processes that were told to stop ended with {codes}")

    def _keep_busy(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._site.unfinished() < WAITING_JOBS:
                self._site.submit()
            else:
                time.sleep(min(left, LOOK_EVERY_SECONDS))
