"""The product on a stage: jobs are submitted as the pages submit them, and workers are forked.

This process has imported everything that a worker needs, so a worker is there after some 20 ms instead of a
second. It holds no thread and, when it forks, no connection.
"""

import gc
import hashlib
import io
import mimetypes
import os
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast
from uuid import uuid4

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from httpx._transports import default
from PIL import Image

from accounts.ledger.money import MICROCREDITS
from accounts.models import Team, User
from accounts.teams.create import open_team
from chaos import hurry
from chaos.child import Child, fork
from chaos.stage import Stage
from jobs.calls.upstream import connect
from jobs.intake.submit import Upload, submit
from jobs.management.commands.worker import Command
from jobs.models import Job
from pixian.imaging.decode import check

CREDITS_PER_TEAM = 1_000_000
TEAMS = 3
SIDES = (8, 64)
LOOK_EVERY_SECONDS = 0.05


class NotSettledError(Exception):
    """Jobs are still queued or running."""


class Site:
    """Some teams with credits to spare, and no worker yet. What it started ends with it.

    hurried: with the short waits of ``chaos.hurry``.
    """

    def __init__(self, stage: Stage, *, teams: int = TEAMS, seed: int = 0, hurried: bool = True) -> None:
        self.stage = stage
        self.upstream = stage.upstream
        self.log = stage.folder / "workers.log"
        self.children: list[Child] = []
        self._random = random.Random(seed)  # noqa: S311 - pictures that replay
        self._turn = 0
        if hurried:
            hurry.up()
        warm_up()
        self.user = User.objects.create_user("alice@example.org")
        self.teams = [
            open_team(f"Team {n + 1}", self.user, CREDITS_PER_TEAM * MICROCREDITS) for n in range(teams)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children:
            child.kill()
        close_all()

    def submit(
        self, picture: bytes | None = None, *, name: str = "photo.png", team: Team | None = None
    ) -> Job:
        """A queued job: of this picture or of one that no other job has, of this team or of the next."""
        picture = picture or self.picture()
        with TemporaryUploadedFile(name, "image/png", len(picture), None) as file:
            file.write(picture)
            file.flush()
            header = check(cast("BinaryIO", file))
            return submit(team or self._next_team(), self.user, Upload(file, header, name, uuid4(), uuid4()))

    def submit_many(self, number: int) -> list[Job]:
        return [self.submit() for _ in range(number)]

    def picture(self, sides: tuple[int, int] = SIDES, chance: random.Random | None = None) -> bytes:
        """Of some size, and so with some price; no other is the same. chance: another than the site's."""
        chance = chance or self._random
        size = chance.randint(*sides), chance.randint(*sides)
        image = Image.new("RGB", size, "white")
        unique = hashlib.sha256(chance.randbytes(16)).digest()
        for at in range(8):
            image.putpixel((at, 0), tuple(unique[at * 3 : at * 3 + 3]))
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def worker(self, threads: int = 1, prepare: Callable[[], None] | None = None) -> Child:
        """A process that does what ``manage.py worker`` does. ``prepare`` runs in it before."""

        def work() -> None:
            if prepare:
                prepare()
            Command().handle(threads=threads)

        return self.fork(work)

    def program(self, *command: str) -> Child:
        """A process that runs a program with this stage's settings."""
        return self.fork(lambda: os.execvp(command[0], command))  # noqa: S606

    def fork(self, work: Callable[[], None]) -> Child:
        """Any other process of this site's."""
        close_all()
        child = fork(work, self.log)
        self.children.append(child)
        return child

    def unfinished(self) -> int:
        """Jobs that are queued, postponed or running."""
        return Job.objects.unfinished().count()

    def settled(self, seconds: float = 60, *, idle: bool = True) -> None:
        """Returns when no job is unfinished and (``idle``) the upstream has no call in flight; raises
        NotSettledError after so many seconds."""
        end = time.monotonic() + seconds
        while left := self.unfinished():
            if time.monotonic() > end:
                raise NotSettledError(f"{left} jobs are unfinished after {seconds} s")
            time.sleep(LOOK_EVERY_SECONDS)
        if idle:
            self.upstream.wait_idle(seconds)

    def last_words(self, lines: int = 40) -> str:
        """The end of what the workers logged."""
        return "\n".join(tail(self.log, lines))

    def _next_team(self) -> Team:
        self._turn += 1
        return self.teams[self._turn % len(self.teams)]


def close_all() -> None:
    """Every connection of this process, and the threads that keep a pool of them."""
    connections.close_all()
    for connection in connections.all():
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()


def warm_up() -> None:
    """What a worker would read once in its life is read here, and inherited."""
    mimetypes.init()
    default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]
    connect().client.close()
    gc.collect()
    gc.freeze()


def tail(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
