"""The nightly reading of results: a share a night, nothing forgotten, and an end when it is asked for."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from conftest import World, small_png
from jobs.audit import verify
from jobs.audit.verify import stored
from jobs.models import DamagedResult, Job, PeriodicTask, ResultRound, Verification
from jobs.storage import files, instance
from jobs.storage.interruptible import StoppedError
from jobs.tests.upstream import Server, run
from jobs.tests.worker.test_worker import working
from jobs.worker import periodic

pytestmark = pytest.mark.both_databases


@pytest.fixture
def results(world: World, server: Server) -> list[Job]:
    for number in range(5):
        world.job(small_png(9 + number, 9))
        run(server)
    return list(Job.objects.order_by("pk"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the results that are read."""
    names: list[str] = []
    hash_ = stored._hash

    def noting(name: str) -> str | None:
        names.append(name)
        return hash_(name)

    monkeypatch.setattr(stored, "_hash", noting)
    return names


def a_night(read: list[str]) -> tuple[int, list[str]]:
    """Return how many results were read, and the findings."""
    before = len(read)
    findings = verify.run(nightly=True).findings
    return len(read) - before, [sentence for _number, sentence in findings]


def days_pass(count: int) -> None:
    for round_ in ResultRound.objects.all():
        ResultRound.objects.filter(pk=round_.pk).update(began_at=round_.began_at - timedelta(days=count))


def test_each_result_is_read_again_after_so_many_days(
    results: list[Job], read: list[str], settings: Settings
) -> None:
    settings.VERIFY_EVERY_DAYS = 30
    assert a_night(read) == (5, [])
    days_pass(29)
    assert a_night(read) == (0, [])
    days_pass(1)
    assert a_night(read) == (5, [])


def test_as_it_was_each_is_read_every_night(results: list[Job], read: list[str]) -> None:
    """The control, and still what the command does."""
    for _night in range(3):
        verify.run()
    assert len(read) == 15


def test_a_night_has_an_end_and_the_next_one_goes_on(
    results: list[Job], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    hash_ = stored._hash

    def slowly(name: str) -> str | None:
        now[0] += stored.NIGHTLY_SECONDS / 2
        return hash_(name)

    monkeypatch.setattr(stored, "_hash", slowly)
    monkeypatch.setattr("jobs.audit.verify.stored.time.monotonic", lambda: now[0])
    assert [a_night(read)[0] for _night in range(4)] == [2, 2, 1, 0]
    assert read == [str(job.result) for job in results]


def test_a_damaged_result_is_reported_every_night_until_it_is_intact(
    results: list[Job], read: list[str]
) -> None:
    path = Path(results[3].result.path)
    whole = path.read_bytes()
    path.write_bytes(b"other")
    sentence = f"The result of job {results[3].pk}, {results[3].result}, isn't what came from the upstream."
    assert a_night(read) == (5, [sentence])
    assert a_night(read) == (1, [sentence])
    path.write_bytes(whole)
    assert a_night(read) == (1, [])
    assert a_night(read) == (0, [])


def test_what_the_command_finds_stays_found(results: list[Job], read: list[str]) -> None:
    a_night(read)
    Path(results[0].result.path).write_bytes(b"other")
    assert verify.run().findings
    assert len(a_night(read)[1]) == 1
    assert DamagedResult.objects.get().job == results[0]


def test_others_may_write_meanwhile(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night is long, and its progress is stored while workers run."""
    for number in range(3):
        committed_world.job(small_png(9 + number, 9))
        run(server)
    Path(Job.objects.order_by("pk")[1].result.path).write_bytes(b"other")
    monkeypatch.setattr(stored, "SAVED_EVERY_SECONDS", 0)
    monkeypatch.setattr(stored, "BATCH", 2)
    hash_ = stored._hash

    def work() -> None:
        Job.objects.update(updated_at=timezone.now())
        connection.close()

    def meanwhile(name: str) -> str | None:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        return hash_(name)

    monkeypatch.setattr(stored, "_hash", meanwhile)
    assert len(verify.run(nightly=True).findings) == 1
    assert len(verify.run().findings) == 1


def test_it_ends_between_two_files_and_goes_on_there(results: list[Job], read: list[str]) -> None:
    with pytest.raises(StoppedError):
        verify.run(nightly=True, stop=lambda: len(read) == 2)
    assert not Verification.objects.exists()
    assert a_night(read) == (3, [])
    assert len(set(read)) == 5


def test_a_chore_that_was_stopped_is_due_again(results: list[Job], server: Server, read: list[str]) -> None:
    PeriodicTask.objects.create(name="verify", due_at=timezone.now() - timedelta(days=1))
    periodic.run_due(server.upstream, lambda: len(read) == 2)
    assert PeriodicTask.objects.get(name="verify").due_at <= timezone.now()
    assert not Verification.objects.exists()
    periodic.run_due(server.upstream)
    assert Verification.objects.get().findings == []


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Make each file take half a second; the event is set once the first one is read."""
    begun = threading.Event()
    sha256 = files.sha256

    def slowly(file: Any) -> str:
        begun.set()
        time.sleep(0.5)
        return sha256(file)

    monkeypatch.setattr(files, "sha256", slowly)
    return begun


def test_a_worker_that_verifies_ends_within_a_file(
    committed_world: World, server: Server, slow_disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = committed_world.job(small_png(9, 9))
    run(server)
    job.refresh_from_db()
    for number in range(60):  # half a minute's work
        job.pk, job.request_id = None, f"{number:032x}"
        job.save(force_insert=True)
    instance.establish()
    PeriodicTask.objects.create(name="verify", due_at=timezone.now() - timedelta(days=1))
    with working(server.upstream, threads=1):
        assert slow_disk.wait(20)
        told = time.monotonic()
    assert time.monotonic() - told < 10
    assert not Verification.objects.exists()
