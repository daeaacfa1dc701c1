"""E27, three hundred photos: a batch over lines that are cut, with credits for half of it.

A script uploads as the page does, over two proxies that cut each connection 60 and 100 s after it was opened,
all times scaled. On the way it is killed and started anew, the line is lost, and a worker is killed. More
credits come later, and the rest must start by itself. Every photo must be cut out, and none charged twice.

The control sends everything in one request, as a plain form does, and must lose it.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

from accounts.ledger import operations as ledger
from accounts.models import Team
from accounts.teams.create import open_team
from chaos import proxy, timeouts
from chaos.experiments import Outcome
from chaos.notes import Notes
from chaos.process import Process
from chaos.servers import free_port
from chaos.system import CREDITS_PER_TEAM, System
from chaos.uploader import LARGE_BYTES, Uploader, new_id, photos
from chaos.upstream import Log
from chaos.waiting import wait_for
from jobs.batches import control
from jobs.models import Batch, Job

SCALE = 0.02  # of all the times of lines
CUT_AFTER_SECONDS = 60, 100
LARGE_TAKES_SECONDS = 90  # that the lines would need for a large photo in one piece
CHUNK_SECONDS = 20
LOST_FOR_SECONDS = 15

PATIENCE_SECONDS = 240
TRIES_AT_ONCE = 4
State = Job.State


class Lines:
    """Two proxies to the site. They come back at the same addresses."""

    def __init__(self, system: System) -> None:
        self._to = system.address
        self._ports = [free_port() for _ in CUT_AFTER_SECONDS]
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self.rate = int(LARGE_BYTES / (LARGE_TAKES_SECONDS * SCALE))
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for seconds, port in zip(CUT_AFTER_SECONDS, self._ports, strict=True):
            cutting = proxy.running(self._to, seconds * SCALE, however_busy=True, rate=self.rate, port=port)
            self._open.enter_context(cutting)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def lose(self) -> None:
        """Cut every connection, and take no new one for a while."""
        self._open.close()
        time.sleep(LOST_FOR_SECONDS * SCALE)
        self.__enter__()


@dataclass
class Run:
    """One batch, from the drop to its last result."""

    system: System
    lines: Lines
    team: Team
    uploader: Uploader
    chance: random.Random
    worker: Process
    client: Process = field(init=False)
    kept: int = 0
    decided: int = 0
    results_lost: int = 0

    def play(self) -> None:
        """Upload, with three accidents in some order; grant credits; wait for the last result."""
        self.client = self.system.fork(self.uploader.begin)
        accidents = [self.lines.lose, self._kill_worker, self._restart_client]
        self.chance.shuffle(accidents)
        for share, accident in zip((0.2, 0.45, 0.7), accidents, strict=True):
            self._wait_for_uploads(int(share * len(self.uploader.photos)))
            accident()
        self._wait("the upload", lambda: not self.client.is_alive)
        if self.client.code:
            raise RuntimeError(f"the client ended with {self.client.code}: {self.system.log_tail()}")
        self._wait("what fits", lambda: not self.system.unfinished())
        self.kept = self._states[State.KEPT]
        ledger.grant(self.team, CREDITS_PER_TEAM, key=f"rest:{self.team.pk}")
        self._wait("the rest", lambda: self._states[State.KEPT] < self.kept // 2)
        self._kill_worker()
        self._finish()

    def wrong(self, log: Log) -> Iterator[str]:
        """Name what was lost, and what was doubled."""
        jobs = list(Job.objects.filter(batch=self.uploader.batch))
        of_photo = Counter(job.source_sha256 for job in jobs)
        done = {job.source_sha256 for job in jobs if job.state == State.DONE and job.result}
        if not 0 < self.kept < len(self.uploader.photos):
            yield f"{self.kept} photos waited for credits"
        for photo in self.uploader.photos:
            name = f"{photo.number} ({photo.name})"
            if photo.sha256 not in done:
                yield f"photo {name} was lost"
            if of_photo[photo.sha256] > 1:
                yield f"photo {name} is {of_photo[photo.sha256]} jobs"
        charges = sum(len(log.charges_of(photo.sha256)) for photo in self.uploader.photos)
        explained = len(self.uploader.photos) + self.decided + self.results_lost
        if charges > explained:
            yield f"{charges} charges, of which {explained} are explained"

    def _finish(self) -> None:
        """Wait for the last result; try again what the dead workers left in doubt, or paid for and lost."""
        self._wait("the last ones", self._is_quiet)
        in_vain = Job.objects.filter(batch=self.uploader.batch, reason=Job.Reason.RESULT_LOST)
        while (lost := in_vain.filter(state=State.FAILED).count()) or self._states[State.IN_DOUBT]:
            self.results_lost += lost
            self.decided += timeouts.decide(self.system)
            batch = Batch.objects.select_related("created_by").get(pk=self.uploader.batch)
            control.retry(batch, batch.created_by)
            self._wait("what was in doubt", self._is_quiet)

    def _is_quiet(self) -> bool:
        return not self._states[State.KEPT] and not self.system.unfinished()

    @property
    def _states(self) -> "Counter[str]":
        """Return how many of the batch's jobs are in each state."""
        return Counter(Job.objects.filter(batch=self.uploader.batch).values_list("state", flat=True))

    def _wait_for_uploads(self, count: int) -> None:
        self._wait(f"upload {count}", lambda: self._states.total() >= count or not self.client.is_alive)

    def _wait(self, what: str, happened: Callable[[], bool]) -> None:
        try:
            wait_for(happened, PATIENCE_SECONDS, what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {dict(self._states)}\n{self.system.log_tail()}") from error

    def _kill_worker(self) -> None:
        self.worker.kill()
        self.worker = self.system.worker(threads=2)

    def _restart_client(self) -> None:
        self.client.kill()
        self.client = self.system.fork(self.uploader.go_on)


@contextmanager
def prepared(system: System, lines: Lines, seed: str, count: int) -> Iterator[Run]:
    """Open a team with credits for half of its photos, and start a worker."""
    shot = photos(seed, count)
    team = open_team(f"Team {seed}", system.user, sum(photo.pixels for photo in shot) // 2)
    chunk = int(lines.rate * CHUNK_SECONDS * SCALE)
    repeats = Notes(system.environment.folder / f"repeats-{seed}")
    uploader = Uploader(lines.urls, system.browser(), team.slug, new_id(seed), shot, chunk, repeats)
    run = Run(system, lines, team, uploader, random.Random(seed), system.worker(threads=2))  # noqa: S311
    try:
        yield run
    finally:
        run.worker.end()


def run(system: System, options: argparse.Namespace) -> Outcome:
    found: list[str] = []
    facts: Counter[str] = Counter()
    with system.serving(), Lines(system) as lines:
        for number in range(options.runs):
            with prepared(system, lines, f"{options.seed}-{number}", options.photos) as played:
                played.play()
            log = system.upstream.log()
            found += [f"run {number}: {wrong}" for wrong in played.wrong(log)]
            facts.update(
                photos=len(played.uploader.photos),
                repeated=len(played.uploader.repeats.read()),
                kept=played.kept,
                doubts=played.decided,
                results_lost=played.results_lost,
            )
        found += system.failures()
        lost = control_at_once(system, lines, options)
    return Outcome(found, {"control": lost}, {"runs": options.runs, **facts})


def control_at_once(system: System, lines: Lines, options: argparse.Namespace) -> int:
    """Send everything in one request, a few times; return how many photos didn't get through."""
    with prepared(system, lines, f"{options.seed}-control", options.photos) as at_once:
        for _ in range(TRIES_AT_ONCE):
            system.fork(at_once.uploader.all_at_once).wait(PATIENCE_SECONDS)
            at_once.uploader.lines = at_once.uploader.lines[::-1]
        return len(at_once.uploader.photos) - Job.objects.filter(team=at_once.team).count()
