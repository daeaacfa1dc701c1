"""The load of E3: processes that upload without a pause, and workers, which note what was committed."""

import random
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast
from uuid import uuid4

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from chaos.child import Child
from chaos.database_notes import Notes, note_bookings
from chaos.site import Site
from jobs.intake.submit import Upload, submit
from jobs.models import Job
from pixian.imaging.decode import check

PAUSE_SECONDS = 0.05
AGAIN_SECONDS = 0.1
WORKERS = 4
THREADS = 2
UPLOADERS = 4
ENDS_WITHIN_SECONDS = 60

Submit = Callable[[Site, Notes, Upload], None]


class Load:
    """Uploads and bookings as they were noted; the processes that make them.

    unconfirmed: the share of commits that go through without anybody hearing of it.
    """

    def __init__(self, site: Site, name: str, *, unconfirmed: float = 0) -> None:
        self.site = site
        self._name = name
        self._unconfirmed = unconfirmed
        self.uploads = Notes(site.stage.folder / f"{name}-uploads.jsonl")
        self.bookings = Notes(site.stage.folder / f"{name}-bookings.jsonl")
        self._begun = 0

    def workers(self, number: int = WORKERS) -> list[Child]:
        return [self.site.worker(THREADS, partial(self._prepare, self._next())) for _ in range(number)]

    def uploaders(self, number: int = UPLOADERS, *, how: Submit | None = None) -> list[Child]:
        """how: the way to submit and note, ``acknowledge`` if it isn't told."""
        work = partial(self._upload, how or acknowledge)
        return [self.site.fork(partial(work, self._next())) for _ in range(number)]

    def _next(self) -> str:
        """The seed of another process: what it inherits would make it do the same as its brothers."""
        self._begun += 1
        return f"{self._name} {self._begun}"

    def _prepare(self, seed: str) -> None:
        note_bookings(self.bookings)
        lose_confirmations(self._unconfirmed, seed)

    def _upload(self, how: Submit, seed: str) -> None:
        """The work of a process until it is told to stop."""
        told = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: told.set())
        self.site._random.seed(seed)
        lose_confirmations(self._unconfirmed, seed)
        while not told.is_set():
            _insist(partial(how, self.site, self.uploads), self.site.picture(), told)
            told.wait(PAUSE_SECONDS)


def acknowledge(site: Site, uploads: Notes, upload: Upload) -> None:
    """As a page does: what was committed is told."""
    _tell(uploads, submit(site.teams[upload.request_id.int % len(site.teams)], site.user, upload))


def acknowledge_too_early(site: Site, uploads: Notes, upload: Upload) -> None:
    """SQLite's control: told just before it is committed."""
    with transaction.atomic():
        acknowledge(site, uploads, upload)


def end_all(children: list[Child]) -> list[str]:
    """SIGTERM to all; tells of those that had died, or didn't listen."""
    for child in children:
        child.stop()
    ended = [child.wait(ENDS_WITHIN_SECONDS) for child in children]
    return [f"a process ended with {code}" for code in ended if code != 0]


def kill_all(children: list[Child]) -> None:
    """At once: all of them stand still before the first one dies."""
    for child in children:
        child.freeze()
    for child in children:
        child.kill()


def lose_confirmations(share: float, seed: str) -> None:
    """In this process, from here on: a share of all commits goes through, and the line is cut before
    anybody hears of it."""
    commit, chance = BaseDatabaseWrapper._commit, random.Random(seed)  # type: ignore[attr-defined]  # noqa: S311

    def commit_and_lose(self: BaseDatabaseWrapper) -> None:
        commit(self)
        if chance.random() < share:
            self.connection.close()
            raise OperationalError("the line was cut after the commit")

    BaseDatabaseWrapper._commit = commit_and_lose  # type: ignore[attr-defined]


def _insist(how: Callable[[Upload], None], picture: bytes, told: threading.Event) -> None:
    """One picture, sent again with the same id as long as there is no answer, as a browser does."""
    request = uuid4()
    while not told.is_set():
        try:
            with TemporaryUploadedFile("photo.png", "image/png", len(picture), None) as file:
                file.write(picture)
                file.flush()
                header = check(cast("BinaryIO", file))
                how(Upload(file, header, "photo.png", request, request))
        except (DatabaseError, InterfaceError):
            told.wait(AGAIN_SECONDS)
        else:
            return
        finally:
            close_old_connections()


def _tell(uploads: Notes, job: Job) -> None:
    uploads.note(job=job.pk, request=str(job.request_id))
