"""A process that dies frees its calls at once; one that is frozen keeps them until its lease runs out."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from conftest import World
from jobs.models import Job, WorkerHeartbeat
from jobs.queue import claims, deaths, workers
from jobs.queue.heartbeat import process_name

pytestmark = pytest.mark.both_databases


LOCKED = """
import fcntl, os, socket, sys, time
name = f"{socket.gethostname()}:{os.getpid()}:abcdef"
with open(os.path.join(sys.argv[1], name), "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print(name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(committed_world: World, settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process of this machine, with a call in hand and a lock as ``announce`` takes it."""
    deaths.announce()
    folder = settings.DATA_DIR / "processes"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", LOCKED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        name = process.stdout.readline().strip()
        committed_world.job()
        assert claims.claim(f"{name}:t1")
        workers.register(name, 1)
        yield process
        process.kill()


def is_running() -> bool:
    return Job.objects.in_flight(timezone.now()).exists()


def test_the_calls_of_a_killed_process_are_free_at_once(other: subprocess.Popen[str]) -> None:
    assert deaths.find() == 0
    other.kill()
    other.wait()
    assert is_running()
    assert deaths.find() == 1
    assert not is_running()
    assert not WorkerHeartbeat.objects.exists()
    assert claims.claim("next:t1"), "another takes the job up"
    assert deaths.find() == 0


def test_a_frozen_process_is_not_dead(other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGSTOP)
    os.waitpid(other.pid, os.WUNTRACED)
    assert deaths.find() == 0
    assert is_running()


def test_nothing_is_known_of_other_machines(
    other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other.kill()
    other.wait()
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert deaths.find() == 0
    assert is_running()


def test_a_process_keeps_its_own_lock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "_held", {})
    deaths.announce()
    (path,) = (settings.DATA_DIR / "processes").iterdir()
    assert path.name == process_name()
    with path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert deaths.find() == 0
