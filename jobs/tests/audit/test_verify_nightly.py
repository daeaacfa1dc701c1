"""The nightly reading of results: a share a night, nothing forgotten, and an end when it is asked for."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import LedgerAccount
from conftest import ROOT, World, small_png
from jobs.audit import verify
from jobs.audit.verify import cancelling, rounds, stored
from jobs.models import DamagedResult, Job, PeriodicTask, ResultRound, Verification
from jobs.storage.files import StorageUnavailableError
from jobs.storage.interruptible import Stop, StoppedError
from jobs.tests.upstream import Server, run
from jobs.tests.worker.test_worker import WORKER, instance, running, until
from jobs.worker import periodic
from pixian_web.health import work
from tests.site.instance import Instance

__all__ = ["instance"]

pytestmark = pytest.mark.both_databases


@pytest.fixture
def results(world: World, server: Server, settings: Settings) -> list[Job]:
    settings.VERIFY_EVERY_DAYS = 1  # so that a night's share is all
    for number in range(5):
        world.job(small_png(9 + number, 9))
        run(server)
    return list(Job.objects.order_by("pk"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the results that are read."""
    names: list[str] = []
    hash_ = stored._hash

    def noting(name: str, stop: Stop) -> str | None:
        if "/result-" in name:
            names.append(name)
        return hash_(name, stop)

    monkeypatch.setattr(stored, "_hash", noting)
    return names


def a_night(read: list[str]) -> tuple[int, list[str]]:
    """Return how many results were read, and the findings."""
    before = len(read)
    findings = verify.run(nightly=True).findings
    return len(read) - before, [sentence for _number, sentence in findings]


def days_pass(count: int) -> None:
    for row in ResultRound.objects.all():
        earlier = row.read_at - timedelta(days=count)
        ResultRound.objects.filter(pk=row.pk).update(began_at=earlier, ended_at=earlier)


def names(jobs: list[Job]) -> list[str]:
    return [str(job.result) for job in jobs]


def test_a_night_reads_its_share_and_each_result_again_after_so_many_days(
    results: list[Job], read: list[str], settings: Settings
) -> None:
    settings.VERIFY_EVERY_DAYS = 5
    for _night in range(5):
        assert a_night(read) == (1, [])
        days_pass(1)
    assert read == names(results)
    for _night in range(5):
        assert a_night(read) == (1, [])
        days_pass(1)
    assert read == names(results) * 2
    assert ResultRound.objects.count() == 6, "ranges that were read again are forgotten the next night"


def test_nothing_is_read_sooner_although_results_are_added(
    results: list[Job], read: list[str], server: Server, world: World, settings: Settings
) -> None:
    """A share of more results is larger, but what was read lately isn't due."""
    settings.VERIFY_EVERY_DAYS = 5
    for _night in range(5):
        a_night(read)
        days_pass(1)
    for number in range(10):
        world.job(small_png(30 + number, 9))
        run(server)
    added = list(Job.objects.filter(pk__gt=results[-1].pk).order_by("pk"))
    assert a_night(read) == (3, [])
    assert read[5:] == [*names(results[:1]), *names(added[:2])]


def test_one_is_read_again_after_30_days_at_the_earliest(
    results: list[Job], read: list[str], settings: Settings
) -> None:
    settings.VERIFY_EVERY_DAYS = 30
    for _night in range(30):
        a_night(read)
        days_pass(1)
    assert read == names(results), "five nights read one each, and 25 nothing"
    a_night(read)
    assert read == names([*results, results[0]])


def test_a_round_that_the_previous_release_left_counts(results: list[Job], read: list[str]) -> None:
    """Its one range is read anew when it is old enough, and what it hadn't reached is read now."""
    ResultRound.objects.create(last_job=results[3].pk)
    assert a_night(read) == (1, [])
    assert read == names(results[4:])


def test_the_health_page_says_since_when_all_has_been_read(
    results: list[Job], read: list[str], settings: Settings
) -> None:
    settings.VERIFY_EVERY_DAYS = 5
    Job.objects.update(created_at=timezone.now() - timedelta(days=9))
    a_night(read)
    assert work.books() == (
        True,
        "Verified 0\xa0minutes ago; no findings. The first round over all results isn't complete yet.",
    )
    days_pass(3)
    for _night in range(4):
        a_night(read)
    fine, says = work.books()
    assert (fine, says.rpartition(". ")[2]) == (True, "Every result was read at most 3\xa0days ago.")


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

    def slowly(name: str, stop: Stop) -> str | None:
        now[0] += stored.NIGHTLY_SECONDS / 2 if "/result-" in name else 0
        return hash_(name, stop)

    monkeypatch.setattr(stored, "_hash", slowly)
    monkeypatch.setattr("jobs.audit.verify.stored.time.monotonic", lambda: now[0])
    assert [a_night(read)[0] for _night in range(4)] == [2, 2, 1, 0]
    assert read == [str(job.result) for job in results]


@pytest.mark.parametrize(
    ("file", "origin"), [("result", "what came from the upstream"), ("source", "what was uploaded")]
)
def test_a_damaged_file_is_reported_every_night_until_it_is_intact(
    results: list[Job], read: list[str], file: str, origin: str
) -> None:
    """Of a delta both files are read, since it says little without its source."""
    stored_file = getattr(results[3], file)
    path = Path(stored_file.path)
    whole = path.read_bytes()
    path.write_bytes(b"other")
    sentence = f"The {file} of job {results[3].pk}, {stored_file}, isn't {origin}."
    assert a_night(read) == (5, [sentence])
    assert a_night(read) == (1, [sentence])
    path.write_bytes(whole)
    assert a_night(read) == (1, [])
    assert a_night(read) == (0, [])


def test_a_result_that_cannot_be_read_ends_no_night(results: list[Job], read: list[str]) -> None:
    path = Path(results[1].result.path)
    aside = path.rename(path.with_suffix(".aside"))
    path.mkdir()
    sentence = f"The result of job {results[1].pk}, {results[1].result}, can't be read: Is a directory."
    assert a_night(read) == (5, [sentence])
    assert a_night(read) == (1, [sentence])
    path.rmdir()
    aside.rename(path)
    assert a_night(read) == (1, [])


def test_wrong_books_are_stored_even_if_the_files_cannot_be_checked(
    results: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Mock(side_effect=StorageUnavailableError("away"))
    monkeypatch.setattr("jobs.audit.verify.stored.files.stored_chunks", away)
    with pytest.raises(StorageUnavailableError):
        verify.run(nightly=True)
    assert not Verification.objects.exists()
    LedgerAccount.objects.filter(kind="spent").update(balance_microcredits=1)
    with pytest.raises(StorageUnavailableError):
        verify.run(nightly=True)
    assert {number for number, _sentence in Verification.objects.get().findings} == {1, 2}


def test_what_the_command_finds_stays_found(results: list[Job], read: list[str]) -> None:
    a_night(read)
    Path(results[0].result.path).write_bytes(b"other")
    assert verify.run().findings
    assert len(a_night(read)[1]) == 1
    assert DamagedResult.objects.get().job == results[0]


def test_others_may_write_meanwhile(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night is long, and its progress is stored while workers run."""
    settings.VERIFY_EVERY_DAYS = 1
    for number in range(3):
        committed_world.job(small_png(9 + number, 9))
        run(server)
    Path(Job.objects.order_by("pk")[1].result.path).write_bytes(b"other")
    monkeypatch.setattr(rounds, "SAVED_EVERY_SECONDS", 0)
    monkeypatch.setattr(stored, "BATCH", 2)
    hash_ = stored._hash

    def work() -> None:
        Job.objects.update(updated_at=timezone.now())
        connection.close()

    def meanwhile(name: str, stop: Stop) -> str | None:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        return hash_(name, stop)

    monkeypatch.setattr(stored, "_hash", meanwhile)
    assert len(verify.run(nightly=True).findings) == 1
    assert len(verify.run().findings) == 1


def test_it_ends_amid_a_file_and_begins_with_that_the_next_time(results: list[Job], read: list[str]) -> None:
    with pytest.raises(StoppedError):
        verify.run(nightly=True, stop=lambda: len(read) == 2)
    assert not Verification.objects.exists()
    assert a_night(read) == (4, [])
    assert read == [*names(results[:2]), *names(results[1:])]


def test_a_chore_that_was_stopped_is_due_again(results: list[Job], server: Server, read: list[str]) -> None:
    PeriodicTask.objects.create(name="verify", due_at=timezone.now() - timedelta(days=1))
    periodic.run_due(server.upstream, lambda: len(read) == 2)
    assert PeriodicTask.objects.get(name="verify").due_at <= timezone.now()
    assert not Verification.objects.exists()
    periodic.run_due(server.upstream)
    assert Verification.objects.get().findings == []


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "control"])
def test_it_ends_amid_a_query(
    committed_world: World, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    """Of a few seconds here, and of minutes in a large database."""
    told, through = threading.Event(), threading.Event()
    query = "SELECT count(*) FROM generate_series(1, 12000000)"
    if connection.vendor == "sqlite":
        numbers = "SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000000"
        query = f"WITH RECURSIVE n(i) AS ({numbers}) SELECT max(i) FROM n"

    def slow() -> Iterator[str]:
        threading.Timer(0.1, told.set).start()
        with connection.cursor() as cursor:
            cursor.execute(query)
        through.set()
        yield from ()

    if not is_cancelled:
        monkeypatch.setattr(cancelling, "_cancel", lambda _connection: None)
    monkeypatch.setattr(verify, "INVARIANTS", verify.INVARIANTS | {1: ("Slow", slow)})
    with pytest.raises(StoppedError):
        verify.run(nightly=True, stop=told.is_set)
    assert through.is_set() != is_cancelled
    assert Job.objects.count() == 0, "the connection is usable"


# A real process -------------------------------------------------------------------------------------

BIG_BYTES = 10**12  # sparse, so it takes no space, and a quarter of an hour to read
QUEUE = """
import django
django.setup()
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from conftest import make_world
from jobs.models import Job, PeriodicTask
world = make_world()
for number in range(3):
    job = world.job()
    name = default_storage.save(f"{Path(job.source.name).parent}/result-1.png", ContentFile(b"cut out"))
    digest = sha256(b"cut out").hexdigest()
    Job.objects.filter(pk=job.pk).update(state="done", result=name, result_sha256=digest)
PeriodicTask.objects.create(name="verify", due_at=timezone.now() - timedelta(days=1))
"""


def test_a_worker_that_verifies_ends_amid_a_large_file_and_another_goes_on_there(
    instance: Instance,
) -> None:
    instance.env["VERIFY_EVERY_DAYS"] = "1"
    command = [sys.executable, "-c", QUEUE]
    subprocess.run(command, cwd=ROOT, env=instance.env, check=True)
    jobs = [
        (pk, instance.data_dir / "files" / name)
        for pk, name in instance.rows("SELECT id, result FROM jobs_job ORDER BY id")
    ]
    big = jobs[1][1]
    os.truncate(big, BIG_BYTES)
    with running(instance, *WORKER) as worker:
        until(lambda: str(big) in open_files(worker.pid), seconds=120)
        worker.terminate()
        worker.wait(60)
    ranges = "SELECT after_job, last_job FROM jobs_resultround ORDER BY id"
    assert instance.rows(ranges) == [(0, jobs[0][0])]
    assert instance.rows("SELECT id FROM jobs_verification") == []
    big.write_bytes(b"cut out")
    with running(instance, *WORKER):
        until(lambda: bool(instance.rows("SELECT id FROM jobs_verification")), seconds=120)
    assert instance.rows(ranges) == [(0, jobs[0][0]), (jobs[0][0], jobs[2][0])]


def open_files(process: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            found.append(str(link.readlink()))
    return found
