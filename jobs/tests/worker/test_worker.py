"""A worker's threads, in this process and as real processes that are killed."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from chaos.environment import TEMPLATES
from chaos.servers import create_database
from conftest import ROOT, World, small_png
from engine.models import download
from engine.models.catalog import BUILT_IN
from engine.tests.conftest import wait_until_ready
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import leftovers, spool
from jobs.tests import upstream as wire
from jobs.tests.upstream import CREDENTIALS, Server
from jobs.worker import pool
from jobs.worker.pool import WorkerPool
from jobs.worker.run import process
from pixian.client.client import Client
from tests.site.instance import Instance, begin, output

pytestmark = pytest.mark.both_databases


def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for it, or fail."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def states() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("state", flat=True))


def all_done() -> bool:
    return set(states()) == {"done"}


@contextmanager
def working(upstream: Upstream, threads: int = 1) -> Iterator[threading.Event]:
    """A worker beside the test; it is told to stop and waited for at the end."""
    stop = threading.Event()
    runner = threading.Thread(target=WorkerPool(upstream, threads, stop).run)
    runner.start()
    try:
        yield stop
    finally:
        stop.set()
        runner.join(30)
        assert not runner.is_alive()


def add(world: World, count: int) -> None:
    for _ in range(count):
        world.job(small_png(9, 9))


def test_the_queue_is_worked_off(committed_world: World, server: Server) -> None:
    world = committed_world
    for _ in range(6):
        world.job()
    with working(server.upstream, threads=2):
        until(all_done)
    assert (server.calls, Attempt.objects.filter(state="booked").count()) == (6, 6)
    assert ledger.balances(world.team) == Balances(available=94 * CREDIT, spent=6 * CREDIT)
    assert all(name.endswith((":t1", ":t2")) for name in Job.objects.values_list("worker", flat=True))


def test_an_idle_worker_stops_at_once(committed_world: World, server: Server) -> None:
    started = time.monotonic()
    with working(server.upstream, threads=2):
        pass
    assert time.monotonic() - started < 5


def test_what_a_killed_process_left_behind_is_swept_up(settings: Settings) -> None:
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    for name, age in (("old", spool.KEPT_SECONDS + 60), ("young", 60)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    leftovers.sweep()
    assert [path.name for path in folder.iterdir()] == ["young"]


def test_files_that_come_and_go_do_not_keep_a_worker_from_starting(settings: Settings) -> None:
    """The web process receives uploads into the same folder all the while."""
    stop = threading.Event()
    uploads = [Path(settings.FILE_UPLOAD_TEMP_DIR) / f"upload{number}" for number in range(50)]

    def receive() -> None:
        while not stop.is_set():
            for path in uploads:
                path.touch()
            for path in uploads:
                path.unlink()

    web = threading.Thread(target=receive)
    web.start()
    try:
        for _ in range(1000):
            leftovers.sweep()
    finally:
        stop.set()
        web.join()


def holding(called: threading.Event, go_on: threading.Event) -> wire.Step:
    """An answer that waits for the test."""

    def wait() -> None:
        called.set()
        assert go_on.wait(20)

    return wire.after(wait)


def test_told_to_stop_it_finishes_the_job_in_hand(committed_world: World, server: Server) -> None:
    add(committed_world, 2)
    called, go_on = threading.Event(), threading.Event()
    server.script.append(holding(called, go_on))
    patient = Upstream(Client(server.url, CREDENTIALS, idle_timeout=20), charges=True)
    with working(patient) as stop:
        assert called.wait(20)
        stop.set()
        go_on.set()
    assert states() == ["done", "queued"]
    assert server.calls == 1


def test_an_unexpected_error_costs_one_turn_and_no_thread(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 1
    add(committed_world, 2)
    unlucky = iter([True])

    def stumble_once(*args: Any) -> int:
        if next(unlucky, False):
            raise ZeroDivisionError
        return process(*args)

    monkeypatch.setattr(pool, "process", stumble_once)
    monkeypatch.setattr(pool, "STEP_SECONDS", 0)
    with working(server.upstream):
        until(all_done)
    # The unlucky one came back when its lease had run out, by another claim.
    assert sorted(Job.objects.values_list("fence", flat=True)) == [1, 2]
    assert server.calls == 2


def spoil(path: str) -> None:
    """Put a folder where a file is, which nobody can open, however mighty."""
    Path(path).unlink()
    Path(path).mkdir()


def test_pictures_that_cannot_be_read_hold_up_no_others(
    committed_world: World, server: Server, settings: Settings
) -> None:
    settings.CALLS_AT_START = 2
    add(committed_world, 3)
    for job in Job.objects.order_by("pk")[:2]:
        spoil(job.source.path)
    with working(server.upstream):
        until(lambda: "done" in states())
    assert states() == ["queued", "queued", "done"]
    assert set(Job.objects.filter(state="queued").values_list("reason", flat=True)) == {"storage"}
    assert ledger.balances(committed_world.team).held > 0


def test_a_job_that_fails_in_an_unexpected_way_waits_behind_the_others(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CALLS_AT_START = 1
    add(committed_world, 2)
    first = Job.objects.order_by("pk")[0].pk

    def stumble(job: Job, *args: Any) -> int:
        if job.pk == first:
            raise ZeroDivisionError
        return process(job, *args)

    monkeypatch.setattr(pool, "process", stumble)
    monkeypatch.setattr(pool, "STEP_SECONDS", 0)
    with working(server.upstream):
        until(lambda: "done" in states())
    assert states() == ["queued", "done"]
    assert Job.objects.get(pk=first).fence == 1


def slow(seconds: float) -> wire.Step:
    return replace(wire.answer(), delay=seconds)


@contextmanager
def two_workers_and_a_slow_call(world: World, server: Server, settings: Settings) -> Iterator[None]:
    """A call takes three times as long as a lease, while another worker looks for work. The upstream
    charges nobody, so that a job that looks abandoned is called for once more."""
    settings.LEASE_SECONDS = 1
    add(world, 1)
    server.script.append(slow(3))
    with ExitStack() as workers:
        for _ in range(2):
            patient = Upstream(Client(server.url, CREDENTIALS, idle_timeout=20), charges=False)
            workers.enter_context(working(patient))
        until(all_done)
        yield


def test_a_heartbeat_keeps_a_long_call(committed_world: World, server: Server, settings: Settings) -> None:
    with two_workers_and_a_slow_call(committed_world, server, settings):
        assert server.calls == 1
    job = Job.objects.get()
    assert (job.fence, job.attempts.count()) == (1, 1)


def test_without_a_heartbeat_the_call_is_made_twice(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control; even so it is booked once."""
    monkeypatch.setattr(claims, "heartbeat", lambda *_: True)
    with two_workers_and_a_slow_call(committed_world, server, settings):
        assert server.calls == 2
    job = Job.objects.get()
    assert job.fence > 1
    assert [attempt.state for attempt in job.attempts.order_by("number")] == ["released", "booked"]
    assert ledger.balances(committed_world.team).held == 0


# Real processes -------------------------------------------------------------------------------------

SUBMIT = """
import django, sys
django.setup()
from conftest import PHOTOS, make_world
world = make_world()
for name in sys.argv[1:]:
    world.job((PHOTOS / f"{name}.jpg").read_bytes())
"""
ENGINE = ("-m", "gunicorn", "-c", "engine/gunicorn.py", "engine.wsgi")
WORKER = ("manage.py", "worker", "--threads", "1")


@dataclass(frozen=True)
class OnPostgres(Instance):
    """An instance with a database of its own on the server that the tests run on."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.env["DATABASE_URL"]) as database:
            return database.execute(query.encode()).fetchall()


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """A migrated data folder of its own, with a path short enough for a socket. Nothing runs on it yet."""
    download.put_in_place(BUILT_IN["fast"], ROOT / "models")
    folder = tmp_path_factory.mktemp("w")
    own = {"DATA_DIR": str(folder), "LEASE_SECONDS": "2", "DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    if server := os.environ.get("DATABASE_URL"):
        return OnPostgres(folder, "", "", os.environ | own | {"DATABASE_URL": migrated_database(server)})
    begin(folder)
    return Instance(folder, "", "", os.environ | own)


def migrated_database(server: str) -> str:
    """Create a database with all tables, as a copy of one that the first test of this run migrates."""
    template, name = Identifier("migrated"), f"instance_{uuid4().hex}"
    with (
        Path(os.environ[TEMPLATES], "lock").open("w") as lock,
        psycopg.connect(server, autocommit=True) as connection,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'").fetchone():
            url = create_database(server, "migrating")
            output(os.environ | {"DATABASE_URL": url}, "manage.py", "migrate", "-v0")
            connection.execute(SQL("ALTER DATABASE migrating RENAME TO {}").format(template))
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), template))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


@contextmanager
def running(instance: Instance, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, ended when this returns, whatever became of it."""
    with (instance.data_dir / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=instance.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGCONT)
            process.terminate()
        process.wait(30)


@contextmanager
def frozen_engine(instance: Instance, *photos: str) -> Iterator[Callable[[], None]]:
    """The photos are queued, and an engine takes their calls but answers none before it is thawed."""
    with running(instance, *ENGINE) as engine:
        command = [sys.executable, "-c", SUBMIT, *photos]
        subprocess.run(command, cwd=ROOT, env=instance.env, check=True)
        wait_until_ready(instance.data_dir / "engine.sock")
        os.killpg(engine.pid, signal.SIGSTOP)
        yield lambda: os.killpg(engine.pid, signal.SIGCONT)


def sent(instance: Instance) -> int:
    return len(instance.rows("SELECT id FROM jobs_attempt WHERE state = 'sent'"))


def finished(instance: Instance) -> bool:
    return not instance.rows("SELECT id FROM jobs_job WHERE state IN ('queued', 'running')")


def assert_booked_once(instance: Instance, jobs: int) -> None:
    """Every job is done, paid for once, and has its picture; nothing is held any more."""
    done = instance.rows("SELECT result FROM jobs_job WHERE state = 'done'")
    assert len(done) == jobs
    for (name,) in done:
        assert (instance.data_dir / "files" / name).read_bytes().startswith(b"\x89PNG")
    booked = instance.rows("SELECT job_id FROM jobs_attempt WHERE state = 'booked'")
    assert len(booked) == len(set(booked)) == jobs
    assert len(instance.rows("SELECT id FROM accounts_transfer WHERE kind = 'settle'")) == jobs
    held = instance.rows("SELECT SUM(balance_microcredits) FROM accounts_ledgeraccount WHERE kind = 'held'")
    assert held == [(0,)]
    assert instance.books_add_up()


def test_a_killed_workers_job_is_finished_by_another_and_booked_once(instance: Instance) -> None:
    with frozen_engine(instance, "chelsea") as thaw:
        with running(instance, *WORKER) as first:
            until(lambda: sent(instance) == 1)
            first.kill()
        assert not finished(instance)
        thaw()
        with running(instance, *WORKER):
            until(lambda: finished(instance))
    attempts = instance.rows("SELECT state FROM jobs_attempt ORDER BY number")
    assert attempts == [("released",), ("booked",)]
    assert_booked_once(instance, jobs=1)


def test_two_workers_never_run_one_job(instance: Instance) -> None:
    photos = ["chelsea", "coffee", "rocket", "astronaut"] * 2
    with (
        frozen_engine(instance, *photos) as thaw,
        running(instance, *WORKER),
        running(instance, *WORKER),
    ):
        until(lambda: sent(instance) == 2)
        thaw()
        until(lambda: finished(instance), seconds=60)
    assert instance.rows("SELECT COUNT(*), MAX(number) FROM jobs_attempt") == [(8, 1)]
    assert instance.rows("SELECT MAX(fence), COUNT(DISTINCT worker) FROM jobs_job") == [(1, 2)]
    assert_booked_once(instance, jobs=8)
