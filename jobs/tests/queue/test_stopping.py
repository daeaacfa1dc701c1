"""All calls can be stopped, and a restored database stops them by itself until a person has looked."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from conftest import World, small_png
from jobs.audit import restored
from jobs.models import Attempt, Batch, Job, Ramp
from jobs.queue import claims, stopping, workers
from jobs.tests.api.programs import Program
from jobs.tests.storage.disks import full
from jobs.tests.upstream import Server
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org")


def test_no_call_begins_while_they_are_stopped(world: World, root: User) -> None:
    world.job()
    assert stopping.stop("the account is being looked at", root)
    assert not stopping.stop("again", root)
    assert claims.claim("w:1") is None
    assert stopping.start(root)
    assert not stopping.start(root)
    assert claims.claim("w:1")
    assert [*AuditEntry.objects.order_by("pk").values_list("action", "reason")] == [
        ("stop_calls", "the account is being looked at"),
        ("start_calls", ""),
    ]


def test_a_call_that_is_under_way_is_finished(world: World, server: Server) -> None:
    world.job()
    job = claims.claim("w:1")
    assert job
    stopping.stop("now")
    process(job, server.upstream, Backoff())
    job.refresh_from_db()
    assert job.state == "done"


def test_a_program_is_told_at_once(program: Program, root: User) -> None:
    stopping.stop("now")
    answer = program.call()
    assert (answer.status_code, Job.objects.count()) == (429, 0)
    assert int(answer.headers["Retry-After"]) > 0
    stopping.start(root)
    assert program.call().status_code == 200


def went_back(world: World) -> Attempt:
    """Make calls, remember the newest one, and lose it as a database does that is restored."""
    world.job()
    newest = Attempt.objects.latest("pk")
    restored.check()
    Attempt.objects.filter(pk=newest.pk).update(prepared_at=newest.prepared_at - timedelta(hours=1))
    return newest


def test_a_restored_database_makes_no_call_until_a_person_has_looked(world: World, root: User) -> None:
    newest = went_back(world)
    restored.check()
    stopped = stopping.stopped()
    assert stopped
    assert f"call {newest.pk} of " in stopped.stopped_why
    assert claims.claim("w:1") is None
    stopping.start(root)
    for _ in range(2):  # the one who started them accepted what is missing
        restored.check()
        assert stopping.stopped() is None


def test_it_is_noticed_though_another_call_has_got_the_number(world: World) -> None:
    newest = went_back(world)
    assert Attempt.objects.filter(pk=newest.pk).exists()
    restored.check()
    assert stopping.stopped()


def test_newer_calls_are_no_restore(world: World) -> None:
    for _ in range(3):
        world.job(small_png(8, 9))
        restored.check()
    assert stopping.stopped() is None


def test_on_a_full_disk_the_newest_call_is_remembered_later(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        restored.check()
    assert not list(Path(settings.DATA_DIR).glob(f"*{restored.NAME}*"))
    restored.check()
    assert Path(settings.DATA_DIR, restored.NAME).exists()


def test_a_database_beside_a_new_data_dir_may_be_a_backup(world: World, root: User) -> None:
    world.job()
    restored.check_prepared()
    stopped = stopping.stopped()
    assert stopped
    assert "DATA_DIR is new" in stopped.stopped_why
    stopping.start(root)
    restored.check_prepared()
    assert stopping.stopped() is None


@pytest.mark.parametrize("kind", workers.Kind)
def test_a_machine_that_joins_others_at_work_stops_nothing(world: World, kind: workers.Kind) -> None:
    world.job()
    workers.register("elsewhere:1", 5, kind)
    restored.check_prepared()
    assert stopping.stopped() is None


def test_the_first_call_of_an_instance_is_no_restore(world: World) -> None:
    """Though the machine died before a heartbeat remembered the call."""
    restored.check_prepared()
    world.job()
    restored.check_prepared()
    assert stopping.stopped() is None


def test_staff_stop_and_start_them_on_a_page(world: World, root: User, client: Client) -> None:
    world.job(batch=uuid4())
    client.force_login(root)
    client.post("/staff/upstream/stop/", {"why": " "})
    assert stopping.stopped() is None
    client.post("/staff/upstream/stop/", {"why": "<b>odd</b> charges"})
    member = Client()
    member.force_login(world.alice)
    page = member.get("/t/aurora/").content.decode()
    assert "&lt;b&gt;odd&lt;/b&gt; charges" in page
    assert "/staff/upstream/" not in page
    assert "Start calls" in client.get("/staff/upstream/").content.decode()
    client.post("/staff/upstream/start/", {"pause": "yes"}, follow=True)
    assert Batch.objects.get().paused_at
    assert set(Job.objects.values_list("state", flat=True)) == {"paused"}
    assert Ramp.objects.get().stopped_at is None


def test_commands_do_the_same(world: World, root: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("stop_calls", "--why", "restored from Monday's backup")
    assert stopping.stopped()
    call_command("start_calls", "--by", root.email, "--pause")
    assert stopping.stopped() is None
    assert capsys.readouterr().out.splitlines() == [
        "No call begins any more.",
        "Batches paused: 0.",
        "Calls begin again.",
    ]
    assert timezone.now() - Ramp.objects.get().started_at < timedelta(minutes=1)  # type: ignore[operator]
