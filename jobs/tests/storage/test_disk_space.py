"""Room for a result before it is paid for, on the disk where it will lie, and no more than it may need."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.models import Job, Ramp
from jobs.queue import stopping
from jobs.storage import disk_space, files, spool
from jobs.storage.disk_space import InsufficientStorageError
from jobs.tests import upstream as wire
from jobs.tests.storage.disks import job_of, spooled, volume
from jobs.tests.upstream import Server, run
from jobs.worker import web_watch

MEGABYTE = 1024 * 1024
GIGABYTE = 10**9
LARGE = 8000, 4000  # as many pixels as may be uploaded


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_usual_room_is_taken_and_what_was_not_needed_is_given_back(settings: Settings) -> None:
    with disk_space.preallocate(job_of(1000, 1000), 1) as file:
        assert on_disk(file.path) >= 1_000_000 + disk_space.FIXED_BYTES
        files.fill(file, [b"half ", b"and half"])
        assert (file.path.read_bytes(), file.size) == (b"half and half", 13)
        assert on_disk(file.path) < MEGABYTE
    assert spooled(settings) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_without_room_it_says_so_and_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with (
        pytest.raises(InsufficientStorageError, match=os.strerror(code)),
        disk_space.preallocate(job_of(1000, 1000), 1),
    ):
        raise AssertionError("let in without room")
    assert spooled(settings) == []


@pytest.mark.parametrize(("free", "enough"), [(10**9, True), (10**6, False)])
def test_where_nothing_can_be_reserved_the_room_there_is_has_to_do(
    monkeypatch: pytest.MonkeyPatch, free: int, enough: bool
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    if enough:
        with disk_space.preallocate(job_of(1000, 1000), 1):
            return
    with pytest.raises(InsufficientStorageError), disk_space.preallocate(job_of(1000, 1000), 1):
        raise AssertionError("let in without room")


@pytest.mark.parametrize(
    ("size", "options", "pixels", "usual"),
    [
        ((1000, 1000), {}, 1e6, 1.0),
        (LARGE, {}, 25e6, 1.0),
        ((1000, 1000), {"output.format": "delta_png"}, 1e6, 0.5),
        ((1000, 1000), {"background.color": "#ffffff"}, 1e6, 0.5),
        ((1000, 1000), {"max_pixels": "1000"}, 1e3, 1.0),
        ((1000, 1000), {"result.target_size": "2000 2000"}, 4e6, 1.0),
        ((1000, 1000), {"result.margin": "500px"}, 4e6, 1.0),
        ((1000, 1000), {"result.margin": "100%", "output.format": "delta_png"}, 1e6, 0.5),
    ],
)
def test_room_follows_the_result_and_its_format(
    size: tuple[int, int], options: dict[str, str], pixels: float, usual: float
) -> None:
    expected = int(pixels * usual) + disk_space.FIXED_BYTES, int(pixels) * 5 + disk_space.FIXED_BYTES
    assert disk_space.result_sizes(job_of(*size, options)) == expected


# Many at once -------------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that limits the free space. Files are really allocated; only the limit is faked."""

    def of_size(free: int) -> None:
        allocate = os.posix_fallocate

        def taken() -> int:
            return sum(on_disk(path) for path in spool.folder().iterdir())

        def bounded(descriptor: int, start: int, length: int) -> None:
            if taken() - os.fstat(descriptor).st_blocks * 512 + length > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            allocate(descriptor, start, length)

        monkeypatch.setattr(os, "posix_fallocate", bounded)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free - taken()))

    return of_size


def admitted(most: int, job: Job) -> int:
    """Return how many calls are admitted at once."""
    with ExitStack() as calls:
        for number in range(1, most + 1):
            try:
                calls.enter_context(disk_space.preallocate(job, number))
            except InsufficientStorageError:
                return number - 1
    return most


def test_a_hundred_large_calls_fit_on_four_gigabytes(disk: Callable[[int], None]) -> None:
    disk(4 * GIGABYTE)
    assert admitted(100, job_of(*LARGE)) == 100


def test_a_hundred_large_calls_would_not_fit_by_their_worst_case(
    disk: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: as it was, 5 bytes a pixel and 16 MiB were taken for each."""
    disk(4 * GIGABYTE)
    monkeypatch.setattr(
        disk_space, "result_sizes", lambda job: (job.width * job.height * 5 + 16 * MEGABYTE,) * 2
    )
    assert admitted(100, job_of(*LARGE)) == 22


@pytest.mark.parametrize(("megabytes", "calls"), [(100, 0), (144, 1), (250, 1), (700, 6)])
def test_a_small_disk_takes_no_more_than_it_can_keep_at_worst(
    disk: Callable[[int], None], megabytes: int, calls: int
) -> None:
    disk(megabytes * MEGABYTE)
    worst = disk_space.result_sizes(job_of(*LARGE))[1]
    count = admitted(10, job_of(*LARGE))
    assert count == calls
    assert count * worst <= megabytes * MEGABYTE or megabytes * MEGABYTE > disk_space.MAX_GROWTH


def test_those_who_come_at_once_see_each_other(disk: Callable[[int], None]) -> None:
    """Each call alone would fit; together they may not."""
    disk(200 * MEGABYTE)
    ready, decided, inside = threading.Barrier(8), threading.Barrier(8), []

    def call(number: int) -> None:
        ready.wait()
        try:
            with disk_space.preallocate(job_of(*LARGE), number):
                inside.append(number)
                decided.wait()
        except InsufficientStorageError:
            decided.wait()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) <= 1


# The disk where it will lie -------------------------------------------------------------------------------


@pytest.fixture
def own_volume(settings: Settings) -> Iterator[Path]:
    """Put the files on a small file system, as an operator may mount one."""
    with volume(Path(settings.MEDIA_ROOT), megabytes=64) as place:
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir()
        yield place


def devices(*paths: Path) -> int:
    return len({path.stat().st_dev for path in paths})


def test_room_is_taken_on_the_files_own_volume(own_volume: Path, settings: Settings, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path  # wherever uploads are received
    with disk_space.preallocate(job_of(1000, 1000), 1) as file:
        assert devices(file.path, own_volume) == 1
        assert devices(file.path, tmp_path) == 2
        inode = file.path.stat().st_ino
        files.fill(file, [wire.CUT_OUT])
        name = files.put("aurora/1/result-1.png", file)
    assert (own_volume / name).stat().st_ino == inode  # a rename


def test_an_upload_from_another_volume_is_stored_whole_or_not_at_all(
    own_volume: Path, settings: Settings, tmp_path: Path
) -> None:
    """Django would copy it to its final name, and could leave half of it there."""
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "uploads"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    filler = own_volume / "filler"
    filler.write_bytes(bytes(62 * MEGABYTE))
    file = TemporaryUploadedFile("source", None, 0, None)
    with file:
        file.write(os.urandom(3 * MEGABYTE))
        file.size = 3 * MEGABYTE
        with pytest.raises(OSError, match="No space"):
            files.put("aurora/1/source.png", file)
        assert not default_storage.exists("aurora/1/source.png")
        filler.unlink()
        assert default_storage.size(files.put("aurora/1/source.png", file)) == 3 * MEGABYTE
    assert spooled(settings) == []


def noise(megabytes: int) -> bytes:
    return wire.CUT_OUT[:-12] + os.urandom(megabytes * MEGABYTE) + wire.CUT_OUT[-12:]


def test_of_six_results_on_a_small_volume_none_is_paid_and_lost(
    own_volume: Path, world: World, server: Server, settings: Settings
) -> None:
    """Four results of 14 MB fit; the other calls wait before anything is sent."""
    server.otherwise = wire.answer(noise(14))
    for _ in range(6):
        world.job(small_png(2000, 1500))
    states = []
    for _ in range(6):
        job, _wait = run(server)
        states.append((job.state, job.reason))
    paid = Job.objects.filter(state="done")
    assert server.calls == paid.count() == 3
    assert {state for state in states if state[0] != "done"} == {("queued", Job.Reason.DISK_FULL)}
    for job in paid:
        with job.result.open() as file:
            assert files.sha256(file) == job.result_sha256
    assert ledger.balances(world.team).spent == 3 * CREDIT


# A disk that fills up while a paid body arrives -----------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "WAIT_SECONDS", 0)


def filling(place: Path, body: bytes) -> wire.Step:
    """Fill the disk from elsewhere while the upstream works."""

    def fill() -> None:
        with (place / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(MEGABYTE)):
                pass

    return wire.after(fill, wire.answer(body))


def test_the_body_goes_to_the_other_volume_and_is_stored_once_there_is_room(
    own_volume: Path, world: World, server: Server, settings: Settings, impatient: None
) -> None:
    body = noise(5)
    world.job()
    server.script.append(filling(own_volume, body))
    job, _ = run(server)
    assert (job.state, job.reason, job.last_attempt.state) == (
        "queued",
        Job.Reason.RESULT_WAITS,
        "answered",
    )
    (waiting,) = Path(settings.SPOOL_ASIDE_DIR).iterdir()
    assert waiting.read_bytes() == body
    assert ledger.balances(world.team).held == CREDIT

    assert run(server)[0].reason == Job.Reason.RESULT_WAITS  # still full
    (own_volume / "filler").unlink()
    job, _ = run(server)
    assert (job.state, server.calls) == ("done", 1)
    with job.result.open() as file:
        assert file.read() == body
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert spooled(settings) == []


def test_without_another_volume_it_would_be_lost(
    own_volume: Path, world: World, server: Server, settings: Settings, impatient: None
) -> None:
    """The control, and what stays true: a body without a place is lost, and its charge is booked."""
    settings.SPOOL_ASIDE_DIR = own_volume / "aside"
    world.job()
    server.script.append(filling(own_volume, noise(5)))
    job, _ = run(server)
    assert (job.state, job.reason) == ("failed", Job.Reason.RESULT_LOST)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_room_that_comes_back_in_time_is_enough(
    own_volume: Path, world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SPOOL_ASIDE_DIR = own_volume / "aside"
    monkeypatch.setattr(disk_space, "RETRY_SECONDS", 0.05)
    make_room = disk_space.make_room

    def make_room_soon(*args: Any) -> None:
        threading.Timer(0.3, (own_volume / "filler").unlink).start()
        make_room(*args)

    monkeypatch.setattr(disk_space, "make_room", make_room_soon)
    world.job()
    server.script.append(filling(own_volume, noise(5)))
    assert run(server)[0].state == "done"


@pytest.fixture
def elsewhere(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A paid result of two days ago waits in a spool that isn't here."""
    world.job()
    with monkeypatch.context() as patch:
        patch.setattr(files, "put", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert run(server)[0].reason == Job.Reason.RESULT_WAITS
    for path in spool.folder().iterdir():
        path.unlink()
    answered_days_ago(2)


def answered_days_ago(days: int) -> None:
    attempt = Job.objects.get().last_attempt
    type(attempt).objects.update(answered_at=timezone.now() - timedelta(days=days))


@pytest.mark.parametrize(("days", "reason"), [(0, Job.Reason.RESULT_WAITS), (2, Job.Reason.RESULT_LOST)])
def test_a_result_that_waits_on_another_machine_is_left_to_it_for_a_day(
    elsewhere: None, world: World, server: Server, days: int, reason: Job.Reason
) -> None:
    answered_days_ago(days)
    assert run(server)[0].reason == reason
    assert ledger.balances(world.team).spent == (CREDIT if days else 0)


def test_the_day_begins_once_calls_are_started_again(elsewhere: None, world: World, server: Server) -> None:
    """The other machine's workers didn't look before."""
    stopping.stop("restored")
    Job.objects.update(origin=Job.Origin.API, run_after=timezone.now())
    web_watch.reclaim(server.upstream)
    assert Job.objects.get().reason == Job.Reason.RESULT_WAITS
    stopping.start(world.alice)
    assert run(server)[0].reason == Job.Reason.RESULT_WAITS
    Ramp.objects.update(started_at=timezone.now() - timedelta(days=2))
    assert run(server)[0].reason == Job.Reason.RESULT_LOST
