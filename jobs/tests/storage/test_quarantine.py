"""Files that no row names: moved aside and brought back, never gone, and only where they are ours."""

import io
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from conftest import World, small_png
from jobs.audit import verify
from jobs.audit.verify import stored
from jobs.models import Attempt, Instance, Job, PeriodicTask, Verification
from jobs.queue import claims
from jobs.storage import files, instance, inventory, leftovers, quarantine, spool, strays
from jobs.storage.instance import ForeignFilesError
from jobs.storage.interruptible import Stop
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from jobs.worker import periodic

pytestmark = pytest.mark.both_databases

HOURS_AGO = time.time() - 3 * 60 * 60


def lay(name: str, content: bytes = b"?") -> Path:
    path = Path(default_storage.path(default_storage.save(name, ContentFile(content))))
    os.utime(path, (HOURS_AGO, HOURS_AGO))
    return path


def all_files() -> set[str]:
    return set(inventory.stored_names())


def grow_old() -> None:
    for name in all_files():
        os.utime(default_storage.path(name), (HOURS_AGO, HOURS_AGO))


def a_night(server: Server) -> None:
    """Run what a worker does once a day."""
    PeriodicTask.objects.update_or_create(
        name="verify", defaults={"due_at": timezone.now() - timedelta(days=1)}
    )
    periodic.run_due(server.upstream)


@pytest.fixture
def store(world: World, server: Server) -> World:
    """Store six paid results in a folder that belongs to this database."""
    instance.establish()
    for number in range(6):
        world.job(small_png(9 + number, 9))
        run(server)
    grow_old()
    assert len(all_files()) == 12
    return world


def forget(count: int) -> list[Job]:
    """Delete the last jobs, as if the database were restored from an older copy."""
    forgotten = list(Job.objects.order_by("-pk")[:count])
    for job in forgotten:
        Attempt.objects.filter(job=job).delete()
        Job.objects.filter(pk=job.pk).delete()
    return forgotten


def manage(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


# An older copy, and an empty one ------------------------------------------------------------------------


def test_after_an_older_dump_no_file_is_gone(store: World, server: Server, caplog: Any) -> None:
    before = all_files()
    forget(4)
    for _night in range(3):
        a_night(server)
    assert all_files() == before
    assert list(quarantine.contents()) == []
    assert "left in place" in caplog.text
    findings = Verification.objects.all()[0].findings
    assert len([1 for number, said in findings if number == 6 and said.startswith("No row names")]) == 8


def test_without_quarantine_the_sweep_deletes_paid_results(store: World) -> None:
    """The control: delete what no row names."""
    paid = [str(job.result) for job in forget(4)]
    for name in list(strays.find_strays(all_files())):
        default_storage.delete(name)
    assert not [name for name in paid if default_storage.exists(name)]


def test_an_empty_database_moves_nothing(store: World, server: Server, caplog: Any) -> None:
    """A database that was migrated and started on the old folder has no id, or gets one of its own."""
    before = all_files()
    forget(6)
    Instance.objects.all().delete()
    for _night in range(2):
        a_night(server)
        Instance.objects.get_or_create(only=True)
    assert all_files() == before
    assert "belong to another database" in caplog.text
    with pytest.raises(ForeignFilesError, match="don't belong to this database"):
        strays.sweep(limited=False)
    findings = Verification.objects.all()[0].findings
    assert any("don't belong to this database" in sentence for _number, sentence in findings)


def test_without_the_id_an_empty_database_would_take_all(
    store: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control, which leaves the brake out too: then all files would go, if only into quarantine."""
    forget(6)
    Instance.objects.all().delete()
    monkeypatch.setattr(instance, "check", lambda: None)
    assert len(strays.sweep(limited=False).moved) == 12
    assert all_files() == set()


def test_what_a_file_system_keeps_for_itself_is_no_file_of_ours(store: World) -> None:
    before = all_files()
    lay("lost+found/#12345")
    lay(".snapshot/aurora/1/source.png")
    assert all_files() == before
    assert inventory.referenced(before) == before


@pytest.mark.parametrize("at_once", [1, 400])
def test_names_are_sought_one_way_or_the_other(
    store: World, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(inventory, "NAMES_PER_QUERY", at_once)
    before = all_files()
    assert inventory.referenced(before | {"aurora/x/source.png", "aurora/x/source.png.tile.webp"}) == before
    previews = {f"{name}.tile.webp" for name in before}
    assert inventory.referenced(previews) == previews


# The brake ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files_in_all", "unnamed", "moved"),
    [(20, 1, 1), (20, 2, 0), (200, 2, 2), (200, 3, 0), (3000, 20, 20), (3000, 21, 0)],
)
def test_a_few_are_moved_and_many_are_only_reported(
    store: World, monkeypatch: pytest.MonkeyPatch, files_in_all: int, unnamed: int, moved: int
) -> None:
    stray_names = {f"aurora/x/{number}" for number in range(unnamed)}
    for name in stray_names:
        lay(name)
    named = all_files() - stray_names
    more = {f"aurora/more/{number}" for number in range(files_in_all - len(named) - unnamed)}
    monkeypatch.setattr(inventory, "stored_names", lambda: iter(named | stray_names | more))
    monkeypatch.setattr(inventory, "referenced", lambda names: set(names) - stray_names)
    report = strays.sweep()
    assert (len(report.moved), len(report.left), report.total) == (moved, unnamed - moved, files_in_all)
    assert len(list(quarantine.contents())) == moved


def test_an_operator_may_move_more_than_a_few(store: World) -> None:
    for number in range(3):
        lay(f"aurora/x/{number}")
    assert "In place, and no row refers to them: 3." in manage("quarantine")
    assert "Moved to quarantine: 3 of 15 files." in manage("quarantine", "move")
    assert len(all_files()) == 12


# There and back ---------------------------------------------------------------------------------------


def test_what_a_crash_left_behind_is_moved_and_can_be_put_back(store: World, server: Server) -> None:
    path = lay("aurora/x/result-1.png", b"left behind")
    a_night(server)
    assert Verification.objects.all()[0].findings == []
    assert not path.exists()
    assert "aurora/x/result-1.png\nIn quarantine: 1." in manage("quarantine")
    said = manage("quarantine", "put-back", "aurora/x/result-1.png")
    assert said == "Put back: 1.\nNo row refers to 1 of them, so verify will report them again.\n"
    assert path.read_bytes() == b"left behind"
    assert list(quarantine.contents()) == []


def test_a_name_that_is_taken_is_left_alone(store: World) -> None:
    path = lay("aurora/x/result-1.png", b"old")
    strays.sweep()
    lay("aurora/x/result-1.png", b"new")
    assert quarantine.put_back() == ([], ["aurora/x/result-1.png"])
    assert path.read_bytes() == b"new"
    with pytest.raises(CommandError, match="Not put back: 1"):
        manage("quarantine", "put-back")
    with pytest.raises(CommandError, match=r"Not in quarantine: aurora/y\."):
        manage("quarantine", "put-back", "aurora/y")


def test_a_crash_between_the_two_names_is_mended(store: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lay("aurora/x/result-1.png")
    strays.sweep()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _self: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            quarantine.put_back()
    assert quarantine.put_back() == (["aurora/x/result-1.png"], [])
    assert path.exists()
    assert list(quarantine.contents()) == []


def test_without_links_it_goes_back_too(store: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    path = lay("aurora/x/result-1.png")
    strays.sweep()
    assert quarantine.put_back() == (["aurora/x/result-1.png"], [])
    strays.sweep()
    lay("aurora/x/result-1.png", b"new")
    assert quarantine.put_back() == ([], ["aurora/x/result-1.png"])
    assert path.read_bytes() == b"new"


def test_a_row_that_misses_its_file_is_told_that_it_lies_in_quarantine(store: World) -> None:
    job = Job.objects.order_by("pk")[0]
    name = str(job.result)
    Job.objects.filter(pk=job.pk).update(result="aurora/elsewhere")
    strays.sweep()
    Job.objects.filter(pk=job.pk).update(result=name)
    said = [sentence for number, sentence in verify.run().findings if number == 6]
    assert said == [f"Job {job.pk} has lost its file {name}{stored._AWAY}"]
    manage("quarantine", "put-back", name)
    assert verify.run().findings == []


def test_a_row_written_between_the_check_and_the_rename_keeps_its_file(
    store: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lay("aurora/late/source.png")
    rename = quarantine._rename

    def late(*args: Any) -> Any:
        Job.objects.filter(pk=Job.objects.order_by("pk")[0].pk).update(source="aurora/late/source.png")
        return rename(*args)

    monkeypatch.setattr(quarantine, "_rename", late)
    assert strays.sweep().moved == []
    assert path.exists()
    assert list(quarantine.contents()) == []


def test_two_workers_at_once_move_each_file_once(store: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lay("aurora/x/result-1.png")
    first = strays.sweep
    find_strays = strays.find_strays

    def meanwhile(found: Iterable[str], stop: Stop) -> Iterator[str]:
        names = list(find_strays(found, stop))
        monkeypatch.setattr(strays, "find_strays", find_strays)
        assert first().moved == ["aurora/x/result-1.png"]
        return iter(names)

    monkeypatch.setattr(strays, "find_strays", meanwhile)
    assert strays.sweep().moved == []
    assert [file.name for file in quarantine.contents()] == ["aurora/x/result-1.png"]


def test_nothing_leaves_the_quarantine_by_itself_or_too_soon(store: World) -> None:
    lay("aurora/x/result-1.png")
    strays.sweep()
    (file,) = quarantine.contents()
    refused = (
        (("--older-than", "6", "--yes"), "from 7 to"),
        (("--older-than", "9999999999", "--yes"), "from 7 to"),
        (("--older-than", "7"), "add --yes"),
    )
    for arguments, refusal in refused:
        with pytest.raises(CommandError, match=refusal):
            manage("quarantine", "remove", *arguments)
    assert "Deleted permanently: 0 files" in manage("quarantine", "remove", "--older-than", "7", "--yes")
    run_ = file.path.parents[2]
    run_.rename(run_.with_name("2026-01-01T00-00-00Z-abcd"))
    assert "Deleted permanently: 1 files" in manage("quarantine", "remove", "--older-than", "7", "--yes")
    assert list(quarantine.contents()) == []


def test_what_a_row_misses_is_never_removed(store: World) -> None:
    job = Job.objects.order_by("pk")[0]
    run_ = Path(default_storage.path(".quarantine/2026-01-01T00-00-00Z-abcd"))
    target = run_ / str(job.source)
    target.parent.mkdir(parents=True)
    Path(default_storage.path(str(job.source))).rename(target)
    assert quarantine.remove(timedelta(days=30)) == (0, 0)
    assert target.exists()


# A storage that isn't a folder --------------------------------------------------------------------------


def test_where_nothing_can_be_renamed_it_is_only_reported(world: World, settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "jobs.tests.storage.test_quarantine.Bucket"}
    }
    instance.establish()
    world.job()
    default_storage.save("aurora/x/result-1.png", ContentFile(b"?"))
    report = strays.sweep(limited=False)
    assert (report.moved, report.left) == ([], ["aurora/x/result-1.png"])
    assert default_storage.exists("aurora/x/result-1.png")
    quarantine.set_aside("aurora/x/result-1.png")
    assert default_storage.exists("aurora/x/result-1.png")
    assert list(quarantine.contents()) == []


class Bucket(Storage):
    """A storage like S3: its location is no folder, and its files have no path. The files are old."""

    location = ""

    def __getattribute__(self, name: str) -> Any:
        if name in ("_open", "_save", "exists", "delete", "listdir"):
            return getattr(FileSystemStorage(), name)
        return super().__getattribute__(name)

    def get_modified_time(self, _name: str) -> Any:
        return timezone.now() - timedelta(hours=3)


# Whose folder it is -------------------------------------------------------------------------------------


def test_a_new_instance_gets_an_id_on_both_sides(world: World) -> None:
    with pytest.raises(ForeignFilesError):
        instance.check()
    instance.establish()
    instance.check()
    kept = Path(default_storage.path(".instance"))
    assert kept.read_text().strip() == str(Instance.objects.get().pk)
    assert kept.stat().st_mode & 0o777 == 0o600
    instance.establish()
    assert Instance.objects.count() == 1


def test_an_existing_instance_adopts_the_files_that_it_names(world: World) -> None:
    """After an upgrade, rows and files exist, but ids do not."""
    for number in range(3):
        world.job(small_png(9 + number, 9))
    lay("aurora/x/left-behind")
    instance.establish()
    instance.check()


def test_an_empty_database_does_not_adopt_a_foreign_folder(world: World) -> None:
    lay("aurora/x/result-1.png")
    with pytest.raises(ForeignFilesError, match="no id there, no id here"):
        instance.establish()
    assert not default_storage.exists(".instance")


def test_an_empty_folder_is_not_taken_for_the_one_that_is_missing(
    store: World, tmp_path: Path, settings: Settings
) -> None:
    """The volume is not mounted."""
    settings.MEDIA_ROOT = tmp_path / "empty"
    with pytest.raises(ForeignFilesError):
        instance.establish()


def test_a_dump_from_before_the_ids_takes_its_folders(store: World) -> None:
    before = Instance.objects.get().pk
    Instance.objects.all().delete()
    instance.establish()
    assert Instance.objects.get().pk == before


@pytest.mark.parametrize("text", [str(UUID(int=1)), "", "mine"])
def test_another_id_is_never_replaced_but_by_an_operator(store: World, text: str) -> None:
    Path(default_storage.path(".instance")).write_text(text)
    with pytest.raises(ForeignFilesError):
        instance.establish()
    with pytest.raises(CommandError, match="Nothing was changed"):
        manage("adopt_files")
    with pytest.raises(ForeignFilesError):
        instance.check()
    assert "This database refers to 12 of the first 12 files." in manage("adopt_files", "--yes")
    instance.check()
    assert "already" in manage("adopt_files")


def test_those_who_establish_it_at_once_agree(committed_world: World) -> None:
    def establish() -> None:
        with closing(connection):
            instance.establish()
            agreed.append(True)

    for _ in range(10):
        agreed: list[bool] = []
        threads = [threading.Thread(target=establish) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        instance.check()
        assert len(agreed) == 6, "one of them read a file that was half written"
        assert {name for name in default_storage.listdir("")[1] if "instance" in name} == {".instance"}
        Instance.objects.all().delete()
        default_storage.delete(".instance")


# What a killed process leaves in the spool --------------------------------------------------------------


def left_in_spool(name: str, content: bytes, old: bool = True) -> Path:
    path = spool.folder() / name
    path.write_bytes(content)
    if old:
        os.utime(path, (HOURS_AGO, HOURS_AGO))
    return path


@pytest.mark.parametrize(
    ("name", "content", "stays"),
    [
        ("tmp12345678.upload.png", wire.CUT_OUT, False),
        ("result-abc-1.5000.xyz", wire.CUT_OUT[:-1] + bytes(5000), False),
        ("result-abc-1.5000.xyz", bytes(5000), False),
        ("result-abc-1.5000.xyz", wire.CUT_OUT, True),
        ("result-abc-1.5000.xyz", wire.CUT_OUT + bytes(5_000_000), True),
        ("result-abc-1.5000.xyz", wire.jpeg("red") + bytes(5000), True),
        ("copy.5000.xyz", wire.CUT_OUT, False),
    ],
)
def test_only_what_cannot_be_a_paid_result_is_swept(db: None, name: str, content: bytes, stays: bool) -> None:
    path = left_in_spool(name, content)
    leftovers.sweep()
    assert path.exists() == stays


def test_a_complete_result_without_a_claimant_goes_to_quarantine(store: World, server: Server) -> None:
    left_in_spool("result-0123456789abcdef-1.5000.xyz", wire.CUT_OUT)
    left_in_spool("result-0123456789abcdef-1.5000.young", wire.CUT_OUT, old=False)
    a_night(server)
    assert [file.name for file in quarantine.contents()] == [".spool/result-0123456789abcdef-1.5000.xyz"]
    assert len(list(spool.folder().iterdir())) == 1


def test_a_complete_result_whose_job_will_be_resumed_stays(store: World, server: Server) -> None:
    job = store.job()
    job.attempts.update(state="answered", status=200, sent_at=timezone.now())
    folder = Path(str(job.source)).parent.name
    path = left_in_spool(f"result-{folder}-1.5000.xyz", wire.CUT_OUT)
    a_night(server)
    assert path.exists()


def resumed(world: World, server: Server, content: bytes, headers: list[list[str]]) -> Job:
    """Kill the worker with this much of the body in the spool, and resume."""
    job = world.job()
    now = timezone.now()
    facts: dict[str, Any] = {"charged_header": "1", "charged_microcredits": 1_000_000}
    job.attempts.update(state="answered", status=200, sent_at=now, answered_at=now, headers=headers, **facts)
    left_in_spool(f"result-{Path(str(job.source)).parent.name}-1.5000.xyz", content, old=False)
    return run(server)[0]


LENGTH = [["Content-Length", str(len(wire.CUT_OUT))]]
TORN = wire.CUT_OUT[:50] + bytes(10) + wire.CUT_OUT[60:]


@pytest.mark.parametrize(
    ("content", "headers", "state"),
    [
        (wire.CUT_OUT, LENGTH, "done"),
        (wire.CUT_OUT + bytes(5000), LENGTH, "done"),  # the room that was reserved
        (wire.CUT_OUT + bytes(5000), [], "done"),
        (wire.CUT_OUT + b"junk" + bytes(9), [["content-length", str(len(wire.CUT_OUT) + 4)]], "done"),
        (wire.CUT_OUT[:-1], LENGTH, "failed"),
        (wire.CUT_OUT[:40] + bytes(5000), LENGTH, "failed"),
        (wire.CUT_OUT, [["Content-Length", str(len(wire.CUT_OUT) + 1)]], "failed"),
        (TORN, LENGTH, "failed"),  # a power cut
        (b"", LENGTH, "failed"),
    ],
)
def test_a_body_that_had_arrived_completely_is_stored_after_a_crash(
    world: World, server: Server, content: bytes, headers: list[list[str]], state: str
) -> None:
    job = resumed(world, server, content, headers)
    assert (job.state, server.calls) == (state, 0)
    if state == "done":
        with job.result.open() as file:
            assert file.read().startswith(wire.CUT_OUT)
        assert not list(spool.folder().iterdir())


def test_a_paid_result_that_came_too_late_is_kept(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was frozen, and its job was given up meanwhile."""
    world.job()
    put = files.put

    def frozen(*args: Any) -> str:
        monkeypatch.setattr(files, "put", put)
        for path in spool.folder().iterdir():
            path.rename(path.with_name("hidden"))
        assert run(server)[0].reason == Job.Reason.RESULT_LOST
        (spool.folder() / "hidden").rename(args[1].path)
        return put(*args)

    monkeypatch.setattr(files, "put", frozen)
    with pytest.raises(claims.LostLeaseError):
        run(server)
    (kept,) = quarantine.contents()
    assert kept.path.read_bytes() == wire.CUT_OUT
