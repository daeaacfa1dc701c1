"""Clients of an instance that is about to be lost: people who upload, and programs.

Each notes what it was told, synced outside of the database, so that what was lost can be named.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from accounts.models import Team
from chaos.notes import Notes
from chaos.process import Process
from chaos.programs import OK, Programs
from chaos.system import REMOVE, System

AT_ONCE, FORMS_PER_BATCH = 4, 3
PROGRAMS = 2
PAUSE_SECONDS = 0.25


class Acknowledged(NamedTuple):
    """A picture that was uploaded, or cut out for a program."""

    sha256: str
    at: float
    by_program: bool


class Clients:
    """Processes that upload batches by the workspace's form, and call the API, until they are killed."""

    def __init__(self, system: System, seed: str) -> None:
        self._system, self._seed = system, seed
        self._uploads = Notes(Path(system.environment.folder, "uploads.jsonl"))
        self._browser, self._key = system.browser(keeps=False), system.key()

    def start(self) -> list[Process]:
        """Start an uploader for each team, and two programs of the first one."""
        works = [partial(self._upload, team, f"{self._seed}-{team.slug}") for team in self._system.teams]
        uploaders = [self._system.fork(work) for work in works]
        self._programs = Programs(
            self._system, self._seed, key=self._key, threads=PROGRAMS, pause=PAUSE_SECONDS
        )
        return [*uploaders, self._programs.process]

    def acknowledged(self) -> Iterator[Acknowledged]:
        """Yield what was acknowledged."""
        yield from (Acknowledged(**said, by_program=False) for said in self._uploads.read())
        yield from (Acknowledged(t.sha256, t.at, True) for t in self._programs.told() if t.status == OK)

    def upload(self, team: Team, batch: str, chance: random.Random) -> bool:
        """Upload some pictures into a batch; return True, and note them, if they were accepted."""
        pictures = [self._system.picture(chance=chance) for _ in range(AT_ONCE)]
        files = [("image", (f"{n}.png", picture, "image/png")) for n, picture in enumerate(pictures)]
        address = f"/t/{team.slug}/upload/"
        accepted = self._browser.post(address, data={"batch": batch}, files=files).is_redirect
        for picture in pictures if accepted else ():
            self._uploads.note(sha256=hashlib.sha256(picture).hexdigest(), at=time.time())
        return accepted

    def call(self) -> int:
        """Call the API once; return the status."""
        with self._system.client(self._key, 30) as http:
            return http.post(REMOVE, files={"image": ("a.png", self._system.picture())}).status_code

    def control(self, team: Team, batch: object, **form: Any) -> bool:
        """Press a button on a batch's page; return True if that was accepted."""
        answer = self._browser.post(f"/t/{team.slug}/batches/{batch}/control/", data=form)
        return answer.is_success or answer.is_redirect

    def _upload(self, team: Team, seed: str) -> None:
        chance = random.Random(seed)  # noqa: S311 - pictures that replay
        while True:
            batch = str(uuid4())
            for _ in range(FORMS_PER_BATCH):
                with suppress(httpx.HTTPError):
                    self.upload(team, batch, chance)
                time.sleep(PAUSE_SECONDS)
