"""Clients of an instance that is about to be lost: people who upload, and programs.

Each notes what it was told, synced outside of the database, so that what was lost can be named.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from accounts.models import Team
from chaos.notes import Notes
from chaos.process import Process
from chaos.system import REMOVE, System

AT_ONCE, FORMS_PER_BATCH = 4, 3
PAUSE_SECONDS = 0.25
OK = 200


@dataclass(frozen=True)
class Told:
    """A picture that was acknowledged: uploaded, or cut out for a program."""

    sha256: str
    at: float
    by_program: bool


class Clients:
    """Processes that upload batches by the workspace's form, and call the API, until they are killed."""

    def __init__(self, system: System, seed: str) -> None:
        self._system, self._seed = system, seed
        self._notes = Notes(Path(system.environment.folder, "told.jsonl"))
        self._browser, self._key = system.browser(keeps=False), system.key()

    def start(self) -> list[Process]:
        """Start an uploader for each team, and two programs of the first one."""
        works: list[Any] = [partial(self._upload, team) for team in self._system.teams]
        works += [self._call, self._call]
        return [self._system.fork(partial(work, f"{self._seed}-{n}")) for n, work in enumerate(works)]

    def told(self) -> Iterator[Told]:
        """Yield what was acknowledged."""
        return (Told(**said) for said in self._notes.read())

    def upload(self, team: Team, batch: str, chance: random.Random) -> bool:
        """Upload some pictures into a batch; return True, and note them, if they were accepted."""
        pictures = [self._system.picture(chance=chance) for _ in range(AT_ONCE)]
        files = [("image", (f"{n}.png", picture, "image/png")) for n, picture in enumerate(pictures)]
        address = f"/t/{team.slug}/upload/"
        accepted = self._browser.post(address, data={"batch": batch}, files=files).is_redirect
        if accepted:
            self._note(*pictures, by_program=False)
        return accepted

    def call(self, picture: bytes) -> int:
        """Call the API, and note a picture that was cut out; return the status."""
        with self._system.client(self._key, 30) as http:
            answer = http.post(REMOVE, files={"image": ("a.png", picture)})
        if answer.status_code == OK:
            self._note(picture, by_program=True)
        return answer.status_code

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

    def _call(self, seed: str) -> None:
        chance = random.Random(seed)  # noqa: S311 - pictures that replay
        while True:
            with suppress(httpx.HTTPError):
                self.call(self._system.picture(chance=chance))
            time.sleep(PAUSE_SECONDS)

    def _note(self, *pictures: bytes, by_program: bool) -> None:
        for picture in pictures:
            sha256 = hashlib.sha256(picture).hexdigest()
            self._notes.note(sha256=sha256, at=time.time(), by_program=by_program)
