"""E2 at the gateway: web processes die amid programs' calls, and the programs ask again.

Each program repeats what was cut off, under the Idempotency-Key that it made before, until it is told. So one
picture must be one charge at most, and a whole picture that was told of the one that is stored and booked.
(It may be several jobs: one that ended without a call is forgotten, so that the repetition can be made.)
"""

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
from gunicorn.app import wsgiapp

from accounts.api_keys import keys
from chaos.child import Child
from chaos.kills_anywhere import Start
from chaos.site import Site
from chaos.upstream import Log
from jobs.api import requests
from jobs.models import Job
from pixian.protocol.credentials import Credentials

CONFIG = Path(__file__).resolve().parents[1] / "pixian_web/gunicorn.py"
PROGRAMS = 6
TOLD_WITHIN_SECONDS = 120
PAUSE_SECONDS = 0.05
CONFLICT, OK, TIMED_OUT = 409, 200, 504


@dataclass(frozen=True)
class Told:
    """What a program was told of a picture in the end. sha256: of the picture; body: of the answer."""

    sha256: str
    status: int
    body: str
    tries: int


class Programs:
    """A process of some threads that call without a pause, until they are told to stop."""

    def __init__(self, site: Site, seed: str) -> None:
        self._key = keys.create(site.teams[0], site.user, "shop")[1]
        self._site = site
        self._stop = site.stage.folder / f"stop-{seed}"
        self._told = site.stage.folder / f"told-{seed}"
        self._process = site.fork(partial(self._call, f"programs {seed}"))

    def end(self) -> list[Told]:
        """All that they were told, once the last ones know."""
        self._stop.touch()
        if self._process.wait(TOLD_WITHIN_SECONDS) != 0:
            raise RuntimeError(f"the programs ended with {self._process.code}: {self._site.last_words()}")
        return [Told(**json.loads(line)) for line in self._told.read_text().splitlines()]

    def _call(self, seed: str) -> None:
        lock, chance = threading.Lock(), random.Random(seed)  # noqa: S311 - pictures that replay
        with self._told.open("w") as told:

            def program() -> None:
                while not self._stop.exists():
                    with lock:
                        picture = self._site.picture(chance=chance)
                    line = json.dumps(asdict(insist(self._key, picture)))
                    with lock:
                        told.write(f"{line}\n")

            threads = [threading.Thread(target=program) for _ in range(PROGRAMS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


def insist(key: Credentials, picture: bytes) -> Told:
    """One request, repeated until its answer is here."""
    headers = {"Idempotency-Key": uuid4().hex}
    tries, auth = 0, (key.api_id, key.api_secret)
    with httpx.Client(base_url=address(), auth=auth, timeout=60, trust_env=False) as http:
        while True:
            tries += 1
            try:
                files = {"image": ("photo.png", picture)}
                answer = http.post("/api/v2/remove-background", files=files, headers=headers)
            except httpx.HTTPError:
                time.sleep(PAUSE_SECONDS)
                continue
            if answer.status_code != CONFLICT:
                break
            time.sleep(PAUSE_SECONDS)
    sha256, body = (hashlib.sha256(content).hexdigest() for content in (picture, answer.content))
    return Told(sha256, answer.status_code, body, tries)


class Web(Child):
    """Gunicorn, which serves in a process of its own: that one is to die too."""

    def kill(self) -> None:
        if self.code is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def starts(site: Site, plant: Callable[[], None] | None = None) -> Iterator[Start]:
    """A web process, as the Procfile starts it."""

    def serve() -> None:
        if plant:
            plant()
        sys.argv = ["gunicorn", "-c", str(CONFIG), "pixian_web.wsgi"]
        wsgiapp.run()

    def start() -> Child:
        web = Web(site.fork(serve).pid)
        site.children[-1] = web
        return web

    yield start


def address() -> str:
    return f"http://127.0.0.1:{os.environ['PORT']}"


def misled(told: list[Told], log: Log) -> list[str]:
    """Where what programs were told isn't what is in the books, or one request was charged twice."""
    done: dict[str, list[str]] = defaultdict(list)
    charges = Counter[str]()
    for job in Job.objects.filter(origin=Job.Origin.API, state=Job.State.DONE):
        done[job.source_sha256].append(job.result_sha256)
    pictures = {call.n: call.sha256 or "" for call in log.calls}
    charges.update(pictures[charge.call] for charge in log.charges)
    return [wrong for each in told for wrong in _misled(each, done[each.sha256], charges[each.sha256])]


def _misled(told: Told, done: list[str], charges: int) -> Iterator[str]:
    here = f"a program's request, told {told.status} at try {told.tries}"
    if charges > 1:
        yield f"{here}: it was charged {charges} times"
    if told.status == OK and told.body not in done:
        yield f"{here}: no job has this result"
    if told.status not in (OK, TIMED_OUT) and done:
        yield f"{here}: its job is done"


def forget_keys() -> None:
    """The control: a repetition is a request like any other."""
    requests._request_id = lambda key: uuid4()  # noqa: ARG005 - named as the real one's
