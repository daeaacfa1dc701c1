"""Simulate the threads of workers, the rows that they lock, and the processors, event by event.

Each thread claims a job behind the ramp's row, works in its process's interpreter, waits for the upstream,
and books behind its team's ledger rows. ``python -m bench.speed.capacity.simulation`` prints what ten and a
hundred times the usual load come to by the costs of ``docs/capacity.md``.
"""

import heapq
import math
import random
import sys
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count

LOOKS_AGAIN_SECONDS = 0.2
"""A thread that finds no free call looks again after this time, as in ``jobs.worker.shared_claims``."""


@dataclass(frozen=True)
class Costs:
    """Seconds that a picture takes.

    worker, database: of a processor, beside what follows. claim, booking: for which the ramp's row, and the
    team's ledger rows, are locked. upstream: until it answers.
    """

    worker: float
    database: float
    claim: float
    booking: float
    upstream: float


@dataclass(frozen=True)
class Load:
    """Describe what serves a queue that never ends. cores: the processors, or part of them, that it gets."""

    processes: int
    threads: int
    teams: int
    limit: int
    cores: float


@dataclass(frozen=True)
class Figures:
    """Averages of a run. ramp, ledger, processors: the share of the time in which they are in use.

    waiting: how many threads wait for a row.
    """

    jobs_a_second: float
    in_flight: float
    waiting: float
    ramp: float
    ledger: float
    processors: float


@dataclass(eq=False)
class Station:
    """A thing that so many can use at once; others wait for it in order."""

    places: int
    stretch: float = 1
    queue: "deque[Process]" = field(default_factory=deque)
    busy: float = 0
    waited: float = 0

    def __post_init__(self) -> None:
        self.free = self.places


Process = Generator["Station | float", None, None]
"""Yields the station that it needs next, or the seconds that it spends."""


@dataclass
class Clock:
    """Runs processes from one event to the next."""

    now: float = 0
    _events: list[tuple[float, int, Process]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def start(self, process: Process, after: float = 0) -> None:
        heapq.heappush(self._events, (self.now + after, next(self._numbers), process))

    def run(self, until: float) -> None:
        while self._events[0][0] < until:
            self.now, _, process = heapq.heappop(self._events)
            step = next(process)
            if not isinstance(step, Station):
                self.start(process, step)
            elif step.free:
                step.free -= 1
                self.start(process)
            else:
                step.queue.append(process)

    def use(self, seconds: float, *stations: Station) -> Process:
        """Spend the time at all of the stations, entered in this order."""
        for station in stations:
            began = self.now
            yield station
            station.waited += self.now - began
        stretched = seconds * max(station.stretch for station in stations)
        yield stretched
        for station in stations:
            station.busy += stretched
            if station.queue:
                self.start(station.queue.popleft())  # which has the place from now on
            else:
                station.free += 1


def simulate(costs: Costs, load: Load, seconds: float, seed: int = 1) -> Figures:
    """Return what the second half of so long a time brings."""
    run = _Run(costs, load, random.Random(seed))  # noqa: S311 - it is to replay
    run.clock.run(seconds / 2)
    before = run.totals()
    run.clock.run(seconds)
    done, calls, waited, ramp, ledger, cpu = (
        (now - then) / (seconds / 2) for now, then in zip(run.totals(), before, strict=True)
    )
    return Figures(done, calls, waited, ramp, ledger / load.teams, cpu / run.cpu.places)


class _Run:
    def __init__(self, costs: Costs, load: Load, chance: random.Random) -> None:
        self._costs, self._load, self._chance = costs, load, chance
        self.clock = Clock()
        places = math.ceil(load.cores)
        self.cpu = Station(places, stretch=places / load.cores)
        self._ramp = Station(1)
        self._ledgers = [Station(1) for _ in range(load.teams)]
        self._in_flight = self._turn = self._done = 0
        self._called = 0.0
        for _ in range(load.processes):
            interpreter = Station(1)
            for _ in range(load.threads):
                self.clock.start(self._thread(interpreter))

    def totals(self) -> tuple[float, ...]:
        ledgers = sum(ledger.busy for ledger in self._ledgers)
        waited = self._ramp.waited + sum(ledger.waited for ledger in self._ledgers)
        return self._done, self._called, waited, self._ramp.busy, ledgers, self.cpu.busy

    def _thread(self, interpreter: Station) -> Process:
        use, costs = self.clock.use, self._costs
        while True:
            yield from use(self._some(costs.claim), self._ramp, self.cpu)
            if self._in_flight >= self._load.limit:
                yield LOOKS_AGAIN_SECONDS
                continue
            self._in_flight += 1
            self._turn += 1
            ledger, began = self._ledgers[self._turn % self._load.teams], self.clock.now
            yield from use(self._some(costs.worker / 2), interpreter, self.cpu)
            yield from use(self._some(costs.database), self.cpu)
            yield costs.upstream
            yield from use(self._some(costs.worker / 2), interpreter, self.cpu)
            yield from use(self._some(costs.booking), ledger, self.cpu)
            self._in_flight -= 1
            self._done += 1
            self._called += self.clock.now - began

    def _some(self, mean: float) -> float:
        return self._chance.expovariate(1 / mean)


FAR = Costs(worker=0.009, database=0.007, claim=0.004, booking=0.0055, upstream=3)
"""With the database 1 ms away: as measured, but for the booking, which is computed. database: without what it
does under the two locks."""


def main() -> None:
    for times, cores in ((1, 2), (10, 8), (100, 64)):
        load = Load(processes=2 * times, threads=5, teams=5 * times, limit=10 * times, cores=cores)
        sys.stdout.write(f"{load}\n  {simulate(FAR, load, seconds=30)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
