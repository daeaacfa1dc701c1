"""The system under test: jobs are submitted as the pages submit them; workers and web processes are forked.

This process has imported everything they need, so a worker is there after 20 ms instead of seconds. It holds
no thread and, when it forks, no connection.
"""

import gc
import hashlib
import io
import mimetypes
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Self, cast
from uuid import UUID, uuid4

import httpx
from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.management import call_command
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from gunicorn.app import wsgiapp
from httpx._transports import default
from kombu import pools
from PIL import Image

from accounts.api_keys import keys
from accounts.ledger.money import MICROCREDITS
from accounts.models import Team, User
from accounts.teams.create import open_team
from chaos import patches
from chaos.checker import failures
from chaos.environment import Environment
from chaos.process import Process, fork
from chaos.upstream import Step
from chaos.waiting import wait_for
from jobs.calls.upstream import connect
from jobs.intake.submit import Upload, submit
from jobs.management.commands.worker import Command
from jobs.models import Job
from jobs.storage import instance
from pixian.imaging.decode import check
from pixian.protocol.credentials import Credentials
from pixian_web import celery

ROOT = Path(__file__).resolve().parents[1]
CREDITS_PER_TEAM = 1_000_000
SIDES = (8, 64)
PATIENCE_SECONDS = 120
BUSY_POLL_SECONDS = 0.02
WEB_STOPS_WITHIN_SECONDS = 15
LAST_LINES = 150
REMOVE = "/api/v2/remove-background"

Prepare = Callable[[], object] | None
"""Something to do in a process before it begins, as to plant a bug."""


class System:
    """Some teams with credits to spare, and no worker yet. What it started ends with it.

    chance: replays with the seed. fast: with short waits (``patches.fast_timings``).
    """

    def __init__(self, environment: Environment, *, seed: int = 0, teams: int = 3, fast: bool = True) -> None:
        self.environment = environment
        self.upstream = environment.upstream
        self.log = environment.folder / "workers.log"
        self.random = random.Random(seed)  # noqa: S311 - pictures that replay
        self.chance = random.Random(seed)  # noqa: S311 - of the experiment's own, which replay too
        self.address = f"http://127.0.0.1:{os.environ['PORT']}"
        self._processes: list[Process] = []
        self._submitted = 0
        if fast:
            patches.fast_timings()
        _warm_up()
        self.user = User.objects.create_user("alice@example.org")
        names = (f"Team {n + 1}" for n in range(teams))
        self.teams = [open_team(name, self.user, CREDITS_PER_TEAM * MICROCREDITS) for name in names]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        close_connections()

    def submit(
        self,
        picture: bytes | None = None,
        *,
        name: str = "photo.png",
        answers: Step | list[Step] | None = None,
    ) -> Job:
        """Submit a job of a picture, whose calls the upstream answers so; teams take turns."""
        self._submitted += 1
        team = self.teams[self._submitted % len(self.teams)]
        with spooled(picture or self.picture(), name) as upload:
            job = submit(team, self.user, upload)
        if answers:
            self.upstream.order("answer_picture", job.source_sha256, answers)
        return job

    def picture(self, sides: tuple[int, int] = SIDES, chance: random.Random | None = None) -> bytes:
        """Return a picture of some size, and so of some price, that is like no other."""
        chance = chance or self.random
        image = Image.new("RGB", (chance.randint(*sides), chance.randint(*sides)), "white")
        unique = hashlib.sha256(chance.randbytes(16)).digest()
        for at in range(8):
            image.putpixel((at, 0), tuple(unique[at * 3 : at * 3 + 3]))
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def key(self, team: Team | None = None) -> Credentials:
        """Create an API key for a program of this team, by default the first."""
        return keys.create(team or self.teams[0], self.user, "shop")[1]

    def client(self, key: Credentials | None = None, seconds: float = 60) -> httpx.Client:
        """Return a program's client, with a connection of its own to the web process."""
        auth = (key.api_id, key.api_secret) if key else None
        return httpx.Client(base_url=self.address, auth=auth, timeout=seconds, trust_env=False)

    def browser(self, user: User | None = None, seconds: float = 30, *, keeps: bool = True) -> httpx.Client:
        """Return a browser in which this user is signed in, by default the teams' owner.

        keeps: keep connections, which a process that is forked afterwards mustn't use.
        """
        client, request = Client(), RequestFactory().get("/")
        client.force_login(user or self.user)
        token = get_token(request)
        cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        cookies[settings.CSRF_COOKIE_NAME] = request.META["CSRF_COOKIE"]
        headers = {"X-CSRFToken": token, "Accept-Language": "en"}
        return httpx.Client(
            base_url=self.address,
            cookies=cookies,
            headers=headers,
            timeout=seconds,
            limits=httpx.Limits(max_keepalive_connections=None if keeps else 0),
            trust_env=False,
        )

    def fork(self, work: Callable[[], object], prepare: Prepare = None) -> Process:
        """Fork a process that does the work. ``prepare`` runs in it before."""
        close_connections()
        if opened := _opened_databases():
            raise RuntimeError(f"close {opened} before forking")
        process = fork(lambda: (prepare() if prepare else None, work()), self.log)
        self._processes.append(process)
        return process

    def lock_sqlite(self, seconds: float) -> Process:
        """Fork a program that keeps SQLite's only lock for writing for so long."""

        def keep() -> None:
            other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=60, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("COMMIT")

        return self.fork(keep)

    def worker(self, threads: int = 1, prepare: Prepare = None) -> Process:
        """Fork what ``manage.py worker`` does."""
        return self.fork(lambda: Command().handle(threads=threads), prepare)

    def program(self, *command: str) -> Process:
        """Run a program with this environment's settings."""
        return self.fork(lambda: os.execvp(command[0], command))  # noqa: S606

    def celery(self, *arguments: str, prepare: Prepare = None) -> Process:
        """Fork Celery's worker or beat, as its command line starts them."""
        return self.fork(lambda: celery.app.start(list(arguments)), prepare)

    def web(self, *arguments: str, prepare: Prepare = None) -> Process:
        """Fork the web process as the Procfile starts it, its pages imported here once."""
        import_module(settings.ROOT_URLCONF)

        def work() -> None:
            sys.argv = ["gunicorn", "-c", str(ROOT / "pixian_web/gunicorn.py"), *arguments, "pixian_web.wsgi"]
            wsgiapp.run()

        return self.fork(work, prepare)

    @contextmanager
    def serving(self, *arguments: str, prepare: Prepare = None) -> Iterator[Process]:
        """Run the web process once it answers, and end it."""
        web = self.web(*arguments, prepare=prepare)
        try:
            wait_for(self.is_up, PATIENCE_SECONDS, "the web process's first answer")
            yield web
        finally:
            web.terminate()
            web.wait(WEB_STOPS_WITHIN_SECONDS)
            web.kill()

    def is_up(self, address: str = "") -> bool:
        """Return True if a web process answers, by default the one of the Procfile."""
        with suppress(httpx.HTTPError), self.client() as http:
            return http.get(f"{address}/healthz").is_success
        return False

    def prepare(self) -> None:
        """Do what ``manage.py prepare`` does for pages and for the files of an instance."""
        call_command("collectstatic", interactive=False, verbosity=0)
        instance.establish()

    def unfinished(self) -> int:
        """Count jobs that are queued, postponed or running."""
        return Job.objects.unfinished().count()

    def keep_busy(self, seconds: float, waiting: int) -> None:
        """Submit jobs for so long, so that as many are always waiting."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.unfinished() < waiting:
                self.submit()
            else:
                time.sleep(min(left, BUSY_POLL_SECONDS))

    def settle(self, seconds: float = PATIENCE_SECONDS, *, idle: bool = True) -> None:
        """Wait until no job is unfinished and (``idle``) no call is in flight; raises TimeoutError."""
        wait_for(lambda: not self.unfinished(), seconds, "the end of all jobs")
        if idle:
            self.upstream.wait_idle(seconds)

    def failures(self, *, web_killed: bool = False) -> list[str]:
        """Check everything, once it has settled."""
        return failures(self.upstream.log(), web_killed=web_killed)

    def log_tail(self) -> str:
        """Return the last lines that the processes logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])

    def count_in_log(self, words: str) -> int:
        """Count how often the processes logged these words."""
        return self.log.read_text(errors="replace").count(words) if self.log.exists() else 0


@contextmanager
def spooled(picture: bytes, name: str = "photo.png", request: UUID | None = None) -> Iterator[Upload]:
    """Spool a picture as Django's upload handler leaves it."""
    with TemporaryUploadedFile(name, "image/png", len(picture), None) as file:
        file.write(picture)
        file.flush()
        yield Upload(file, check(cast("BinaryIO", file)), name, request or uuid4())


def close_connections() -> None:
    """Close every connection of this process, to the database and the broker, and the pools' threads."""
    connections.close_all()
    for connection in connections.all():
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()
    pools.reset()  # type: ignore[no-untyped-call]
    celery.app._after_fork()


def _opened_databases() -> list[str]:
    """Return the write-ahead logs of SQLite that this process, in whichever thread, has open."""
    # A child would inherit SQLite's locks in memory without those in the kernel, and both would write.
    gc.collect()  # what threads that have ended left behind
    opened = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            opened.add(str(descriptor.readlink()))
    return sorted(path for path in opened if path.endswith("-wal"))


def _warm_up() -> None:
    """Read here what a worker would read once in its life, for workers to inherit."""
    mimetypes.init()
    default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]
    connect().client.close()
    gc.collect()
    gc.freeze()
