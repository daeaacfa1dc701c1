"""A real Celery worker, a real Redis, and an upstream over HTTP, on the test's own database and files."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import ROOT, World
from jobs.models import Job, WorkerHeartbeat
from jobs.queue import claims, workers
from jobs.tests.upstream import CREDENTIALS, Server, serving
from jobs.tests.worker.test_worker import add, all_done, holding, states, until
from pixian_web import celery
from tests.site import brokers
from tests.site.brokers import Broker

LEASE_SECONDS = 2
Process = subprocess.Popen[bytes]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def broker() -> Iterator[Broker]:
    with brokers.running() as broker:
        yield broker


def database() -> str:
    """Return the address of the test's own database."""
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{told['NAME']}"
    return f"postgres://{told['USER']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


@pytest.fixture
def worker(committed_world: World, broker: Broker, server: Server, tmp_path: Path) -> Iterator[Process]:
    """Start a worker as the Procfile does."""
    environment = {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": database(),
        "CELERY_BROKER_URL": broker.url,
        "PIXIAN_API_URL": server.url,
        "PIXIAN_API_ID": CREDENTIALS.api_id,
        "PIXIAN_API_SECRET": CREDENTIALS.api_secret,
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "WORKER_THREADS": "7",
    }
    command = [sys.executable, "-m", "celery", "-A", "pixian_web.celery", "worker", "--concurrency", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def test_a_worker_that_has_nothing_to_do_is_seen_all_the_same(worker: Process) -> None:
    """It is listed with the threads that it has, whatever the settings say."""
    until(lambda: workers.at_work().count() == 1)
    assert workers.at_work().get().threads == 1


def test_a_look_is_a_job_done_and_too_many_looks_are_no_second_call(
    worker: Process, committed_world: World, server: Server
) -> None:
    add(committed_world, 1)
    celery.wake(4)
    until(all_done)
    celery.wake(2)
    add(committed_world, 1)
    celery.wake(1)
    until(all_done)
    assert server.calls == 2


def lease_until() -> datetime:
    lease = Job.objects.get(state="running").lease_until
    assert lease
    return lease


def test_told_to_end_it_finishes_the_job_in_hand_and_keeps_its_lease_meanwhile(
    worker: Process, committed_world: World, server: Server
) -> None:
    """The call takes longer than a lease; in the end the worker is no longer listed."""
    add(committed_world, 2)
    called, go_on = threading.Event(), threading.Event()
    server.script.append(holding(called, go_on))
    celery.wake(2)
    assert called.wait(20)
    first_lease = lease_until()
    worker.terminate()
    until(lambda: lease_until() > first_lease + timedelta(seconds=LEASE_SECONDS))
    assert claims.claimable_count() == 1  # the other one
    go_on.set()
    assert worker.wait(20) == 0
    assert (states(), server.calls) == (["done", "queued"], 1)
    assert Job.objects.earliest("pk").fence == 1
    assert ledger.balances(committed_world.team) == Balances(
        100 * CREDIT - CREDIT - 81, held=81, spent=CREDIT
    )
    assert not WorkerHeartbeat.objects.exists()


def test_a_broker_that_was_away_is_found_again(
    worker: Process, broker: Broker, committed_world: World, server: Server
) -> None:
    until(lambda: workers.at_work().count() == 1)
    broker.server.kill()
    add(committed_world, 1)
    broker.server.start()
    celery.wake(1)
    until(all_done)
    assert server.calls == 1
