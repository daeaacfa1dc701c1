"""E3, the database dies.

Uploads and workers go on while PostgreSQL's postmaster is killed and started again, and connections are cut.
SQLite has no server: all processes that use its file are killed at once instead, and then another one keeps
its lock for longer than any of them waits. In the end each acknowledged upload and each committed booking,
noted outside of the database, must be there, and the checker must find nothing.

The control acknowledges too early: PostgreSQL by ``synchronous_commit=off``, on SQLite the uploads before
their commit. Acknowledged uploads must be lost then.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from itertools import count
from uuid import UUID, uuid4

import psycopg
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from chaos import patches
from chaos.checker import STRAY
from chaos.experiments import Outcome
from chaos.notes import Notes
from chaos.process import Process, end_all, kill_all, told_to_end
from chaos.servers import Postgres
from chaos.system import System, close_connections, spooled
from jobs.intake.submit import submit
from jobs.models import Attempt, Job

PAUSE_SECONDS = 0.05
AGAIN_SECONDS = 0.1
MOST_WAITING = 500  # jobs, whose pictures would else fill a small volume for good
SETTLES_WITHIN_SECONDS = 180
WORKERS, THREADS, UPLOADERS = 4, 2, 4

CUTS_PER_KILL = 3
AWAY_SECONDS = (0.2, 2.0)
BETWEEN_SECONDS = (0.2, 1.5)
UNCONFIRMED = 0.02

LIVES_SECONDS = (0.3, 2.5)
LOCK_TIMEOUT_SECONDS = 1
"""How long SQLite waits for its lock here: 20 s in the product, beside a lease of 60 s."""

LOCKED_SECONDS = 1.6
LOCKS = 3
STAYS_BOOKED = (Attempt.State.BOOKED, Attempt.State.IN_DOUBT)
CONTROL_TRIES = {"sqlite": 4, "postgresql": 5}


class Load:
    """Processes that upload without a pause, and workers; what was committed, as they noted it.

    unconfirmed: the share of commits that go through without being confirmed. too_early: acknowledge uploads
    before they are committed.
    """

    def __init__(self, system: System, name: str, *, unconfirmed: float = 0, too_early: bool = False) -> None:
        self.system = system
        self.uploads = Notes(system.environment.folder / f"{name}-uploads.jsonl")
        self.bookings = Notes(system.environment.folder / f"{name}-bookings.jsonl")
        # What a process inherits would make it do the same as its siblings.
        self._seeds = (f"{name} {n}" for n in count(1))
        self._unconfirmed = unconfirmed
        self._too_early = too_early

    def workers(self) -> list[Process]:
        def note(job: Job, attempt: Attempt) -> None:
            self.bookings.note(job=job.pk, attempt=attempt.pk, charged=attempt.charged_microcredits)

        def prepare(seed: str) -> None:
            patches.on_booking(note)
            patches.lose_confirmations(self._unconfirmed, seed)

        return [self.system.worker(THREADS, partial(prepare, next(self._seeds))) for _ in range(WORKERS)]

    def uploaders(self) -> list[Process]:
        return [self.system.fork(partial(self._upload, next(self._seeds))) for _ in range(UPLOADERS)]

    def lost(self) -> Iterator[str]:
        """Name what was acknowledged or booked, and isn't as it was any more."""
        uploads, bookings = self.uploads.read(), self.bookings.read()
        jobs = Job.objects.in_bulk([said["job"] for said in uploads])
        for said in uploads:
            job = jobs.get(said["job"])
            if job is None or str(job.request_id) != said["request"]:
                yield f"job {said['job']} was acknowledged and is gone"
            elif not default_storage.exists(str(job.source.name)):
                yield f"job {job.pk} was acknowledged, and its file is gone"
        attempts = Attempt.objects.select_related("job").in_bulk([said["attempt"] for said in bookings])
        for said in bookings:
            row = attempts.get(said["attempt"])
            if row is None or row.state not in STAYS_BOOKED or row.job.state != Job.State.DONE:
                yield f"attempt {said['attempt']} of job {said['job']} was booked, and is {row} now"
            elif row.charged_microcredits != said["charged"]:
                yield f"{row} was booked with {said['charged']}, and has {row.charged_microcredits} now"

    def _upload(self, seed: str) -> None:
        """Upload until told to stop; send each picture again with the same id until there is an answer."""
        stop = told_to_end()
        self.system.random.seed(seed)
        patches.lose_confirmations(self._unconfirmed, seed)
        while not stop.is_set():
            request, picture = uuid4(), self.system.picture()
            while not stop.is_set():
                try:
                    if self.system.unfinished() < MOST_WAITING:
                        self._submit(picture, request)
                        break
                    stop.wait(AGAIN_SECONDS)
                except (DatabaseError, InterfaceError, OSError):  # the disk may be full
                    stop.wait(AGAIN_SECONDS)
                finally:
                    close_old_connections()
            stop.wait(PAUSE_SECONDS)

    def _submit(self, picture: bytes, request: UUID) -> None:
        """Submit as a page does, and note what was committed; the control notes it just before."""
        team = self.system.teams[request.int % len(self.system.teams)]
        early = transaction.atomic() if self._too_early else nullcontext()
        with spooled(picture, request=request) as upload, early:
            job = submit(team, self.system.user, upload)
            self.uploads.note(job=job.pk, request=str(job.request_id))
            if self._too_early:
                time.sleep(2 * PAUSE_SECONDS)  # a slow disk: the kill comes before its commit


def run(system: System, options: argparse.Namespace) -> Outcome:
    if system.environment.postgres:
        return kill_server(system, system.environment.postgres, options)
    return kill_processes(system, options)


def kill_server(system: System, server: Postgres, options: argparse.Namespace) -> Outcome:
    """Kill the postmaster again and again, and cut connections."""
    load, chance = Load(system, "main", unconfirmed=UNCONFIRMED), system.chance
    workers, uploaders = load.workers(), load.uploaders()
    cut = 0
    for _ in range(options.kills):
        for _ in range(CUTS_PER_KILL):
            time.sleep(chance.uniform(*BETWEEN_SECONDS))
            cut += server.terminate_connections(chance.random())
        time.sleep(chance.uniform(*BETWEEN_SECONDS))
        server.kill()
        time.sleep(chance.uniform(*AWAY_SECONDS))
        server.start()
    found = end_all(uploaders)
    system.settle(SETTLES_WITHIN_SECONDS)
    found += end_all(workers)
    wrong, facts = check(load)
    about = {"kills": options.kills, "cut": cut}
    return Outcome([*found, *wrong], {"control": control_of_server(system, server)}, about | facts)


def control_of_server(system: System, server: Postgres) -> int:
    """Count acknowledged uploads that are lost if a commit doesn't wait for the disk."""
    with psycopg.connect(server.url, autocommit=True) as line:
        line.execute("ALTER ROLE postgres SET synchronous_commit TO off")
    load = Load(system, "control")
    uploaders = load.uploaders()
    for _ in range(CONTROL_TRIES["postgresql"]):
        load.uploads.wait()  # no longer, since PostgreSQL writes what it owes some 200 ms later
        server.kill()
        server.start()
    end_all(uploaders)
    close_connections()
    return len(list(load.lost()))


def kill_processes(system: System, options: argparse.Namespace) -> Outcome:
    """Kill all processes that use SQLite's file at once, and then keep its lock."""
    settings.DATABASES["default"]["OPTIONS"]["timeout"] = LOCK_TIMEOUT_SECONDS
    load, found = Load(system, "main"), []
    for _ in range(options.kills):
        processes = load.workers() + load.uploaders()
        time.sleep(system.chance.uniform(*LIVES_SECONDS))
        kill_all(processes)
        found += broken()
    workers = load.workers()
    system.settle(SETTLES_WITHIN_SECONDS)
    found += end_all(workers)
    found += keep_locked(load)
    wrong, facts = check(load)
    about = {"kills": options.kills, "locks": LOCKS}
    control = Load(system, "control", too_early=True)
    for _ in range(CONTROL_TRIES["sqlite"]):
        uploaders = control.uploaders()
        control.uploads.wait()
        kill_all(uploaders)
    return Outcome([*found, *wrong], {"control": len(list(control.lost()))}, about | facts)


def keep_locked(load: Load) -> list[str]:
    """Let another program write for longer than any process waits; then all goes on by itself."""
    workers, uploaders = load.workers(), load.uploaders()
    for _ in range(LOCKS):
        time.sleep(LOCKED_SECONDS)
        load.system.lock_sqlite(LOCKED_SECONDS).wait()
    found = end_all(uploaders)
    load.system.settle(SETTLES_WITHIN_SECONDS)
    return found + end_all(workers)


def broken() -> list[str]:
    """Ask SQLite itself what is wrong with the file."""
    with connection.cursor() as cursor:
        lines = [row[0] for row in cursor.execute("PRAGMA integrity_check").fetchall()]
    close_connections()
    return [f"the database is broken: {line}" for line in lines if line != "ok"]


def check(load: Load) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong when all is quiet again, and figures.

    orphans: sources that no row names, stored before a row that never came: nobody was told that it had.
    """
    found = load.system.failures()
    orphans = [failure for failure in found if failure.startswith(STRAY) and "/source." in failure]
    facts = {
        "cases": Job.objects.count(),
        "acknowledged": len(load.uploads.read()),
        "booked": Attempt.objects.filter(state=Attempt.State.BOOKED).count(),
        "doubted": Job.objects.filter(state=Job.State.IN_DOUBT).count(),
        "orphans": len(orphans),
    }
    return [*(failure for failure in found if failure not in orphans), *load.lost()], facts
