"""A result that arrives whole, is stored, and survives a power cut."""

import errno
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.models import Job
from jobs.storage import disk_space, files, spool
from jobs.tests import upstream as wire
from jobs.tests.storage.disks import fill_the_disk, job_of, spooled
from jobs.tests.upstream import Server, run
from pixian.protocol.errors import BodyLost, Refused
from pixian.tests.imaging.odd_pictures import JPEG


def endless() -> Iterator[bytes]:
    while True:
        yield b"\0" * 1000


def test_a_body_that_never_ends_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_RESULT_BYTES", 5000)
    with disk_space.preallocate(job_of(1, 1), 1) as file:
        with pytest.raises(BodyLost, match="more than 5000 bytes"):
            files.fill(file, endless())
        assert file.tell() <= 6000


@pytest.fixture
def body(settings: Settings) -> Iterator[TemporaryUploadedFile]:
    with disk_space.preallocate(job_of(1, 1), 1) as file:
        yield file


@pytest.mark.parametrize("tail", [b"", b"\n", b"\0" * 500])
def test_a_complete_picture_passes_and_its_size_is_known(body: TemporaryUploadedFile, tail: bytes) -> None:
    files.fill(body, [wire.CUT_OUT, tail])
    files.check_picture(body)
    assert body.tell() == len(wire.CUT_OUT) + len(tail)


def test_a_jpeg_is_a_picture_too(body: TemporaryUploadedFile, photo: Any) -> None:
    files.fill(body, [photo("chelsea")])
    files.check_picture(body)


def test_a_paid_picture_passes_however_long_it_is(body: TemporaryUploadedFile) -> None:
    files.fill(body, [small_png(3, 65_536)])
    files.check_picture(body)


@pytest.mark.parametrize("content", [b"", b"<h1>Hello</h1>", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_what_is_no_picture_is_refused(body: TemporaryUploadedFile, content: bytes) -> None:
    files.fill(body, [content])
    with pytest.raises(Refused):
        files.check_picture(body)
    assert body.tell() == len(content)


def test_a_picture_without_its_end_is_lost(body: TemporaryUploadedFile) -> None:
    files.fill(body, [wire.CUT_OUT[:-1]])
    with pytest.raises(BodyLost, match="no end"):
        files.check_picture(body)


@pytest.mark.parametrize(
    "content", [JPEG, JPEG[:-2], JPEG + bytes(2000)], ids=["whole", "no end", "more behind"]
)
def test_a_jpeg_with_all_its_pixels_passes(body: TemporaryUploadedFile, content: bytes) -> None:
    files.fill(body, [content])
    files.check_picture(body)
    assert body.tell() == len(content)


def test_half_a_jpeg_is_lost(body: TemporaryUploadedFile) -> None:
    files.fill(body, [JPEG[: len(JPEG) // 2]])
    with pytest.raises(BodyLost, match="no end"):
        files.check_picture(body)


def test_a_result_is_on_the_disk_before_its_name_is_and_the_name_before_it_is_reported(
    body: TemporaryUploadedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another order, a power cut could leave a name without its bytes, or a booking without a name."""
    order: list[str] = []
    sync, save = os.fsync, FileSystemStorage.save

    def noting_sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")
        sync(descriptor)

    def noting_save(*args: Any) -> str:
        order.append("name")
        return save(*args)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(FileSystemStorage, "save", noting_save)
    files.fill(body, [b"all of it"])
    name = files.put("team/job/result-1.png", body)
    assert order == ["bytes", "name", "folder"]
    with default_storage.open(name) as stored:
        assert stored.read() == b"all of it"


# What becomes of a job ----------------------------------------------------------------------------------


def test_a_full_disk_sends_nothing_and_goes_on_once_there_is_room(world: World, server: Server) -> None:
    world.job()
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch)
        for _ in range(2):
            job, wait = run(server)
            assert (job.state, job.reason, wait) == ("queued", Job.Reason.DISK_FULL, 60)
            assert (job.last_attempt.state, job.last_attempt.sends) == ("prepared", 0)
    assert (server.calls, ledger.balances(world.team).held) == (0, CREDIT)
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == ("done", "", 1)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_without_room_made_first_a_full_disk_loses_what_was_paid(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the disk turns out to be full once the result comes."""

    def no_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.job()
    with monkeypatch.context() as patch:
        patch.setattr(spool, "allocate", lambda *_: None)
        patch.setattr(files, "fill", no_room)
        with pytest.raises(OSError, match="No space"):
            run(server)
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == ("failed", Job.Reason.RESULT_LOST, 1)
    assert ledger.balances(world.team).spent == CREDIT


@pytest.mark.parametrize("header", ["1.000000", None])
def test_a_result_that_is_far_too_long_is_booked_and_lost(
    world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch, header: str | None
) -> None:
    world.job()
    monkeypatch.setattr(files, "MAX_RESULT_BYTES", 1000)
    server.script.append(wire.answer(b"\0" * 2_000_000, header))
    job, _ = run(server)
    lost, unknown = ("failed", Job.Reason.RESULT_LOST), ("in_doubt", Job.Reason.UNANSWERED)
    assert (job.state, job.reason) == (lost if header else unknown)
    balances = ledger.balances(world.team)
    assert (balances.spent, balances.held) == ((CREDIT, 0) if header else (0, CREDIT))
    assert (bool(job.result), spooled(settings)) == (False, [])
