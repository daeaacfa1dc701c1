"""What an operator sees: each part by itself, whatever is wrong with the others."""

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError, ProgrammingError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger import triggers
from accounts.models import Transfer, User
from conftest import World
from jobs.calls import accounts
from jobs.models import Attempt, BalanceSnapshot, Job, PeriodicTask, Verification, WorkerHeartbeat
from jobs.queue import claims, workers
from jobs.storage import instance, strays
from jobs.tests.storage.disks import volume
from jobs.tests.upstream import CREDENTIALS, Server, serving
from jobs.worker import periodic
from pixian_web import health
from pixian_web.health import components, work

pytestmark = pytest.mark.both_databases


def said(name: str) -> health.Check:
    if name == "Upstream":
        return health.upstream()
    return next(check for check in health.checks() if check.name == name)


@pytest.fixture(autouse=True)
def paid_upstream(settings: Settings) -> Any:
    """Start a server of the contract and point the settings at it."""
    with serving() as server:
        settings.PIXIAN_EMBEDDED = False
        settings.PIXIAN_API_URL = server.url
        settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET = CREDENTIALS.api_id, CREDENTIALS.api_secret
        yield server


def test_staff_see_every_part_and_nobody_else_does(client: Client, world: World) -> None:
    client.force_login(world.alice)
    assert client.get("/health/").status_code == 404
    world.alice.is_staff = True
    world.alice.save()
    page = client.get("/health/").content.decode()
    for part in (
        "Database",
        "Search",
        "Upstream",
        "Web processes",
        "Workers",
        "Periodic tasks",
        "Queue",
        "Disk",
        "Files",
        "Review",
        "Books and files",
    ):
        assert part in page
    assert "Something needs attention" in page


def test_a_worker_that_is_there_is_named(world: World) -> None:
    assert not said("Workers").fine
    workers.register("host:1", 4)
    check = said("Workers")
    assert check.fine
    assert "host:1 (4)" in check.says


def test_the_balance_at_the_upstream_is_shown(world: World, paid_upstream: Server) -> None:
    check = said("Upstream")
    assert check.fine
    assert "100 credits" in check.says


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "Check PIXIAN_API_ID"), (404, "isn't a Pixian server"), (503, "can't be reached")],
)
def test_a_wrong_upstream_is_reported_with_what_to_check(
    world: World, paid_upstream: Server, status: int, says: str
) -> None:
    paid_upstream.account_status = status
    check = said("Upstream")
    assert not check.fine
    assert says in check.says


def test_an_upstream_that_is_away_is_a_red_line(world: World, paid_upstream: Server) -> None:
    paid_upstream.shut()
    assert "can't be reached" in said("Upstream").says


def test_the_page_asks_the_upstream_by_itself(client: Client, world: World, paid_upstream: Server) -> None:
    """The page doesn't wait for it; without a script a link does."""
    client.force_login(User.objects.create_superuser("root@example.org"))
    page = client.get("/health/").content.decode()
    assert 'hx-get="/health/upstream/"' in page
    assert "No balance of" in page
    assert paid_upstream.account_calls == 0
    row = client.get("/health/upstream/", headers={"HX-Request": "true"}).content.decode()
    assert row.lstrip().startswith("<tr")
    assert "100 credits are left" in row
    assert "100 credits are left" in client.get("/health/upstream/").content.decode()
    paid_upstream.shut()
    row = client.get("/health/upstream/", headers={"HX-Request": "true"}).content.decode()
    assert 'hx-swap-oob="true">Something needs attention' in row


def test_the_last_stored_balance_stands_until_the_upstream_has_answered(world: World) -> None:
    now = timezone.now() - timedelta(minutes=7)
    BalanceSnapshot.objects.create(
        account_id=accounts.current_id(), asked_at=now, came_at=now, microcredits=41_500_000
    )
    first = health.checks()[0]
    assert (first.name, first.fine) == ("Upstream", None)
    assert first.says.startswith("7\xa0minutes ago 41.5 credits were left")


def test_cases_are_counted_up_to_99(world: World) -> None:
    job = world.job()
    first = job.attempts.get()
    for number in range(2, 103):
        held = ledger.hold(world.team, 1, key=f"hold:{number}", reference="job:0:0")
        Attempt.objects.create(job=job, number=number, state="in_doubt", doubt="implausible", hold=held)
    assert first.state == "prepared"
    check = said("Review")
    assert check.says.startswith("99+ attempts need a review. 99+ have implausible charges.")


def test_a_broker_that_is_away_is_a_red_line(world: World, settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    check = said("Broker")
    assert not check.fine
    assert check.says


def test_a_queue_that_stands_still_is_reported(world: World) -> None:
    assert said("Queue").fine
    job = world.job()
    assert said("Queue").fine
    type(job).objects.update(run_after=timezone.now() - 2 * work.SLOW_QUEUE)
    check = said("Queue")
    assert not check.fine
    assert "1 waiting" in check.says
    assert claims.claim("test")
    assert said("Queue").fine


def test_the_disk_that_the_files_lie_on_is_looked_at(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """They may have a volume of their own, and that one fills up."""
    assert said("Disk").fine == (shutil.disk_usage(tmp_path).free > work.LOW_DISK_BYTES)
    settings.MEDIA_ROOT = tmp_path / "volume"
    with volume(tmp_path / "volume", megabytes=16):
        check = said("Disk")
        assert not check.fine
        assert f"16 MB free in {tmp_path / 'volume'}, " in check.says
        assert "% used" in check.says
        assert f"free in {settings.DATA_DIR}, " in check.says


def test_files_of_another_database_and_quarantined_ones_are_reported(world: World) -> None:
    instance.establish()
    assert said("Files").fine
    path = Path(default_storage.path(default_storage.save("aurora/x/result-1.png", ContentFile(b"?"))))
    os.utime(path, (0, 0))
    assert strays.sweep().moved
    assert "1 file that no job refers to is in quarantine" in said("Files").says
    Path(default_storage.path(".instance")).write_text("another")
    check = said("Files")
    assert not check.fine
    assert "don't belong to this database (another there" in check.says


def test_what_was_found_wrong_is_reported(world: World) -> None:
    assert said("Books and files").fine
    Verification.objects.create(findings=[[2, "account 7 is off by 3"]])
    check = said("Books and files")
    assert not check.fine
    assert "account 7 is off by 3" in check.says


def test_books_that_were_verified_long_ago_are_reported(world: World) -> None:
    old = Verification.objects.create()
    assert said("Books and files").fine
    Verification.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(hours=37))
    check = said("Books and files")
    assert not check.fine
    assert "Last verified 1\xa0day" in check.says


def test_books_that_were_never_verified_are_reported_after_a_while(world: World) -> None:
    assert said("Books and files").fine
    triggers.unguard(connection)
    Transfer.objects.update(created_at=timezone.now() - timedelta(hours=37))
    triggers.guard(connection)
    assert not said("Books and files").fine


def test_threads_are_those_of_living_processes(world: World) -> None:
    workers.register("dead:1", 8)
    WorkerHeartbeat.objects.update(seen_at=timezone.now() - timedelta(minutes=10))
    workers.register("host:2", 2)
    workers.register("host:3", 4)
    workers.register("host:9", 32, workers.Kind.WEB)
    assert said("Workers").says.startswith("2 processes (threads): host:2 (2), host:3 (4).")


def test_web_processes_that_are_missing_are_reported(world: World, settings: Settings) -> None:
    settings.WEB_PROCESSES = 2
    workers.register("host:1", 32, workers.Kind.WEB)
    check = said("Web processes")
    assert not check.fine
    assert "1 of 2" in check.says
    workers.register("host:2", 32, workers.Kind.WEB)
    assert said("Web processes").fine


def test_the_page_says_how_workers_are_notified(world: World, settings: Settings) -> None:
    workers.register("host:1", 4)
    assert "poll" in said("Workers").says
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert "broker" in said("Workers").says


def test_a_job_that_no_idle_worker_takes_is_reported(world: World) -> None:
    """Beat is dead, say, and the broker was emptied. A busy worker is another matter, for a while."""
    workers.register("host:1", 1)
    world.job()
    due = timezone.now() - work.STARTS_WITHIN - timedelta(seconds=1)
    Job.objects.update(run_after=due)
    check = said("Queue")
    assert not check.fine
    assert "No worker takes it" in check.says
    world.job()
    Job.objects.update(run_after=due)
    assert claims.claim("host:1")
    assert said("Queue").fine


def test_a_worker_that_the_upstream_asked_to_wait_is_not_idle(world: World) -> None:
    workers.register("host:1", 1)
    world.job()
    put_off = claims.claim("host:1")
    assert put_off
    with claims.owned(put_off):
        claims.postpone(put_off, 900, Job.Reason.SLOW_DOWN)
    due = timezone.now() - work.STARTS_WITHIN - timedelta(seconds=1)
    job = world.job()
    Job.objects.filter(pk=job.pk).update(run_after=due)
    assert said("Queue").fine
    Job.objects.exclude(pk=job.pk).update(run_after=due)  # now that has passed
    assert not said("Queue").fine


def test_pictures_that_wait_for_an_operator_are_named_with_what_for(world: World) -> None:
    jobs = [world.job() for _ in range(4)]
    reasons = (Job.Reason.STORAGE, Job.Reason.STORAGE, Job.Reason.RESULT_WAITS, Job.Reason.SLOW_DOWN)
    for reason in reasons:
        job = claims.claim("test")
        assert job
        with claims.owned(job):
            claims.postpone(job, 900, reason)
    check = said("Queue")
    assert not check.fine
    assert f"Picture {jobs[0].pk} and others wait, 2 together: The storage of the pictures" in check.says
    assert f"Picture {jobs[2].pk} waits: The result is safe" in check.says
    assert f"Picture {jobs[3].pk} " not in check.says
    Job.objects.update(run_after=timezone.now() - timedelta(minutes=2))
    assert "The oldest has been due" in said("Queue").says
    Job.objects.update(reason="", run_after=timezone.now())
    assert said("Queue").fine


def test_a_job_that_a_dead_worker_left_is_reported(world: World) -> None:
    world.job()
    claims.claim("dead")
    assert said("Queue").fine
    Job.objects.update(lease_until=timezone.now() - work.STARTS_WITHIN - timedelta(seconds=1))
    assert not said("Queue").fine


def test_a_silent_beat_is_reported(world: World, settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert not said("Beat").fine
    periodic.note_beat(timedelta(seconds=10))
    assert said("Beat").fine
    PeriodicTask.objects.update(ran_at=timezone.now() - components.BEAT_LATE)
    check = said("Beat")
    assert not check.fine
    assert "ago" in check.says


def test_periodic_tasks_tell_when_they_last_ran(world: World, paid_upstream: Server) -> None:
    assert not said("Periodic tasks").fine
    now = timezone.now()
    for name, (_first, every, _do) in periodic.TASKS.items():
        PeriodicTask.objects.create(name=name, due_at=now + every, ran_at=now)
    assert said("Periodic tasks").fine
    PeriodicTask.objects.filter(name="verify").update(
        due_at=now - components.TASK_LATE - timedelta(seconds=1)
    )
    check = said("Periodic tasks")
    assert not check.fine
    assert check.says.endswith("verify.")


def test_a_periodic_task_that_never_came_to_its_end_is_reported(world: World) -> None:
    begun = timezone.now() - timedelta(minutes=30)
    row = PeriodicTask.objects.create(name="balance", due_at=begun + periodic.HOUR, started_at=begun)
    assert not said("Periodic tasks").fine
    PeriodicTask.objects.filter(pk=row.pk).update(ran_at=begun - periodic.HOUR)
    assert not said("Periodic tasks").fine
    PeriodicTask.objects.filter(pk=row.pk).update(ran_at=begun + timedelta(minutes=1))
    assert said("Periodic tasks").fine


def test_a_task_that_has_failed_ever_since_is_reported(
    world: World, paid_upstream: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.retention.quota.measure", Mock(side_effect=OSError("no space left")))
    for name in periodic.TASKS:
        PeriodicTask.objects.create(name=name, due_at=timezone.now() + periodic.DAY)
    PeriodicTask.objects.filter(name="quota").update(due_at=timezone.now())
    periodic.run_due(paid_upstream.upstream)
    assert said("Periodic tasks").fine  # it may still be at work
    PeriodicTask.objects.filter(name="quota").update(started_at=timezone.now() - timedelta(minutes=6))
    check = said("Periodic tasks")
    assert not check.fine
    assert check.says.endswith("quota.")


def test_a_verification_may_take_the_night(world: World) -> None:
    yesterday = timezone.now() - periodic.DAY
    begun = timezone.now() - timedelta(minutes=40)
    PeriodicTask.objects.create(
        name="verify", due_at=begun + periodic.DAY, started_at=begun, ran_at=yesterday
    )
    assert said("Periodic tasks").fine
    PeriodicTask.objects.update(started_at=timezone.now() - timedelta(hours=3))
    assert not said("Periodic tasks").fine


def test_a_check_that_fails_itself_is_a_red_line_and_logged_with_where(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ProgrammingError("no such column")

    monkeypatch.setattr(work, "review", fail)
    check = said("Review")
    assert not check.fine
    assert "log" in check.says
    assert "Traceback" in caplog.text


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no bound")
def test_the_databases_connections_are_counted(world: World) -> None:
    check = said("Database")
    assert check.fine
    assert "of 100 connections are in use" in check.says


# Where a view fails -----------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Client:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("jobs.views.history.history.enter", fail)
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (OperationalError("connection refused"), 503, "The database isn&#x27;t responding"),
        (OperationalError("database or disk is full"), 507, "disk is full"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 507, "disk is full"),
        (ZeroDivisionError(), 500, "Something went wrong on our side"),
    ],
)
def test_a_broken_page_says_what_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, says: str
) -> None:
    client = failing(monkeypatch, error)
    client.force_login(world.bob)
    response = client.get("/t/aurora/history/")
    assert response.status_code == status
    assert response.get("Retry-After") == ("10" if status == 503 else None)
    assert says in response.content.decode()
    assert response.headers["X-Request-ID"] in response.content.decode()
    told = client.get("/t/aurora/history/", headers={"HX-Request": "true"})
    assert (told.status_code, told.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")


def test_an_upload_on_a_full_disk_is_refused_with_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, photo: Any, tmp_path: Path
) -> None:
    """The file's own bytes don't fit, before any view has begun."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("django.core.files.uploadhandler.TemporaryFileUploadHandler.receive_data_chunk", full)
    client = Client(raise_request_exception=False)
    client.force_login(world.bob)
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo("chelsea"))
    with path.open("rb") as file:
        response = client.post("/t/aurora/upload/", {"image": file}, headers={"HX-Request": "true"})
    assert response.status_code == 507
    assert "disk is full" in response.content.decode()
    assert not world.team.jobs.exists()
