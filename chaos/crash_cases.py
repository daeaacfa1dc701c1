"""E1 on its stage: a worker that survives shows the points, then others die, one at each.

A doomed worker sees one job only, so that several can die at once. What they leave behind is taken up in the
end by workers without any instrument, when all leases have been made to end at once instead of being waited
for.
"""

import argparse
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.utils import timezone

from chaos.child import Child
from chaos.crash_answers import ANSWERS
from chaos.crash_doom import Doom, alone_with
from chaos.site import Site
from jobs.models import Job

AT_ONCE = 3
"""Workers that die beside one another."""

SMALLEST, USUAL = (8, 8), (16, 64)
"""Sides in pixels. A charge for the smallest pictures teaches the product nothing about the price of others,
whose holds are to be too small for an overage."""

CHAIN = 3
LONGEST = 60
"""Of the points in a chain; a plain call has some sixty."""

DEADLINE_SECONDS = 30


@dataclass(frozen=True)
class Case:
    """A job, and the points at which the workers that take it up die, one after the other."""

    job: int
    points: tuple[int, ...]


@dataclass
class Crashes:
    """died: workers that reached their point. missed: those that should have and found no such point."""

    site: Site
    options: argparse.Namespace
    plant: Callable[[], None] | None = None
    points: int = 0
    died: int = 0
    missed: int = 0

    def of(self, answer: str) -> None:
        """Each point of the call that is answered so, and some chains."""
        cases = [*self._singles(answer), *self._chains(answer)]
        for link in range(CHAIN):
            left = [case for case in cases if len(case.points) > link]
            for at in range(0, len(left), AT_ONCE):
                self._kill(left[at : at + AT_ONCE], link)
            let_leases_end()

    def recover(self, *, idle: bool = True) -> None:
        """Others finish what there is."""
        workers = [self.site.worker(threads=2) for _ in range(2)]
        self.site.settled(4 * DEADLINE_SECONDS, idle=idle)
        for worker in workers:
            worker.end()

    def names(self, answer: str) -> list[str]:
        """All points, told by a worker that passes them."""
        trace = self.site.stage.folder / f"trace-{self.points}"
        job = self.submit(answer, f"{answer}; not killed", SMALLEST)
        worker = self.doomed(job, Doom(plant=self.plant, trace=trace))
        if worker.wait(DEADLINE_SECONDS) != 0:
            raise RuntimeError(f"{answer}: a worker that nobody killed ended with {worker.code}")
        names = trace.read_text().splitlines()
        self.points += len(names)
        return names

    def chosen(self, answer: str, names: list[str]) -> range:
        """The points of these that are tried, as indexes: each, or each n-th beginning somewhere else for
        each seed and answer."""
        every = self.options.every
        return range((self.options.seed + list(ANSWERS).index(answer)) % every, len(names), every)

    def submit(self, answer: str, name: str, sides: tuple[int, int] = USUAL) -> int:
        job = self.site.submit(self.site.picture(sides), name=name)
        self.site.upstream.by_sha256(job.source_sha256, ANSWERS[answer])
        return job.pk

    def doomed(self, job: int, doom: Doom) -> Child:
        return self.site.worker(prepare=partial(alone_with, job, doom))

    def _singles(self, answer: str) -> Iterator[Case]:
        names = self.names(answer)
        for at in self.chosen(answer, names):
            yield Case(self.submit(answer, f"{answer}; killed {names[at]}, point {at + 1}"), (at + 1,))

    def _chains(self, answer: str) -> Iterator[Case]:
        chance = random.Random(f"{self.options.seed} {answer}")  # noqa: S311 - it is to replay
        for _ in range(self.options.chains):
            points = tuple(chance.randint(1, LONGEST) for _ in range(CHAIN))
            yield Case(self.submit(answer, f"{answer}; killed at {points}"), points)

    def _kill(self, group: list[Case], link: int) -> None:
        dooms = [Doom(case.points[link], plant=self.plant) for case in group]
        workers = [self.doomed(case.job, doom) for case, doom in zip(group, dooms, strict=True)]
        for case, worker in zip(group, workers, strict=True):
            code = worker.wait(DEADLINE_SECONDS)
            if code not in (-signal.SIGKILL, 0):
                raise RuntimeError(f"the doomed worker of job {case.job} ended with {code}")
            self.died += code == -signal.SIGKILL
            # Whoever takes up a job has less before it, and may be through before its point.
            self.missed += code == 0 and len(case.points) == 1


def let_leases_end() -> None:
    """As if so much time had passed: what is left behind, or put off, is due."""
    now = timezone.now()
    Job.objects.unfinished().filter(state=Job.State.QUEUED).update(run_after=now)
    Job.objects.unfinished().filter(state=Job.State.RUNNING).update(lease_until=now - timedelta(seconds=1))
