"""Programs that call the gateway: threads that repeat a call, one that is watched, and insistent ones.

Insistent ones ask again until they are told, each under one Idempotency-Key. So one picture must be one
charge at most, and a whole picture that was told must be the one that is stored and booked. (It may be
several jobs: one that ended without a call is forgotten, so that it can be repeated.)
"""

import hashlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from chaos.experiments import say
from chaos.notes import Notes
from chaos.process import told_to_end
from chaos.system import REMOVE, System
from chaos.upstream import Log
from jobs.models import Job
from pixian.protocol.credentials import Credentials

PROGRAMS = 6
TOLD_WITHIN_SECONDS = 300
REPEATS_AFTER_SECONDS = 0.05
PAUSE_SECONDS = 0.3
CONFLICT, OK, TIMED_OUT = 409, 200, 504


@contextmanager
def repeating(threads: int, work: Callable[[threading.Event], object]) -> Iterator[None]:
    """Do the work again and again in so many threads, until the block ends and the event is set."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work(stop)

    started = [threading.Thread(target=repeat, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in started:  # before the next process is forked
            thread.join()


@dataclass
class Seen:
    """The responses that a program gets meanwhile.

    within: seconds that a response may take. slowest: the longest took so many. late: responses that took
    too long, never came, or refused; told: the last of them.
    """

    system: System
    within: float
    slowest: float = 0
    late: int = 0
    asked: int = 0
    told: str = ""

    def ask(self, method: str, path: str, key: Credentials | None = None, **request: Any) -> None:
        began, told = time.monotonic(), ""
        try:
            with self.system.client(key, self.within) as http:
                response = http.request(method, path, **request)
                told = "" if response.is_success else f"({response.status_code} {response.text[:100]})"
        except httpx.HTTPError as error:
            told = f"({error!r})"
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        self.late += bool(told) or took > self.within
        self.told = told or self.told
        self.asked += 1

    def report(self, what: str) -> None:
        say(f"{what}: {self.asked} asked, {self.late} late {self.told}, slowest {self.slowest:.2f} s")


class Told(NamedTuple):
    """The last response for a picture, at a Unix time. sha256: of the picture; body: of the response."""

    sha256: str
    status: int
    body: str
    tries: int
    at: float


class Programs:
    """A process of some threads that call until they are told to stop.

    key: by default a new one of the first team. pause: seconds on average between two calls of a thread.
    addresses: of the web processes, taken at random.
    """

    def __init__(
        self,
        system: System,
        seed: str,
        *,
        key: Credentials | None = None,
        threads: int = PROGRAMS,
        pause: float = 0,
        addresses: Sequence[str] = (),
    ) -> None:
        self._system, self._threads, self._pause = system, threads, pause
        self._addresses = addresses or (system.address,)
        self._told = Notes(system.environment.folder / f"told-{seed}")
        self.process = system.fork(partial(self._call, f"programs {seed}", key or system.key()))

    def end(self) -> list[Told]:
        """Return all that they were told, once the last ones know."""
        self.process.terminate()
        if self.process.wait(TOLD_WITHIN_SECONDS) != 0:
            raise RuntimeError(f"the programs ended with {self.process.code}")
        return self.told()

    def told(self) -> list[Told]:
        """Return what they were told by now."""
        return [Told(**told) for told in self._told.read()]

    def _call(self, seed: str, key: Credentials) -> None:
        lock, chance = threading.Lock(), random.Random(seed)  # noqa: S311 - pictures that replay

        def call(stop: threading.Event) -> None:
            with lock:
                picture, pause = self._system.picture(chance=chance), chance.uniform(0, 2 * self._pause)
            if not stop.wait(pause):
                self._told.note(**self._insist(key, picture)._asdict())

        with repeating(self._threads, call):
            told_to_end().wait()

    def _insist(self, key: Credentials, picture: bytes) -> Told:
        """Repeat one request until its response is here."""
        files, headers, tries = {"image": ("photo.png", picture)}, {"Idempotency-Key": uuid4().hex}, 0
        with self._system.client(key) as http:
            while True:
                tries += 1
                address = random.choice(self._addresses)  # noqa: S311
                with suppress(httpx.HTTPError):
                    response = http.post(f"{address}{REMOVE}", files=files, headers=headers)
                    if response.status_code != CONFLICT:
                        break
                time.sleep(REPEATS_AFTER_SECONDS)
        sha256, body = (hashlib.sha256(content).hexdigest() for content in (picture, response.content))
        return Told(sha256, response.status_code, body, tries, time.time())


def misled(told: list[Told], log: Log) -> Iterator[str]:
    """Name programs that were told what isn't in the books, and requests that were charged twice."""
    done: defaultdict[str, list[str]] = defaultdict(list)
    for job in Job.objects.filter(origin=Job.Origin.API, state=Job.State.DONE):
        done[job.source_sha256].append(job.result_sha256)
    charges = Counter(charge.sha256 for charge in log.charges)
    for each in told:
        here = f"a program's request, told {each.status} at try {each.tries}"
        if charges[each.sha256] > 1:
            yield f"{here}: it was charged {charges[each.sha256]} times"
        if each.status == OK and each.body not in done[each.sha256]:
            yield f"{here}: no job has this result"
        if each.status not in (OK, TIMED_OUT) and done[each.sha256]:
            yield f"{here}: its job is done"
