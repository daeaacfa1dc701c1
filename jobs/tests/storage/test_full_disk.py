"""A full disk, as programs and people are told of it: nothing is sent, held or charged, and it says so."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.api import requests
from jobs.models import BatchFile, Job
from jobs.storage import disk_space, files, spool
from jobs.tests import browser
from jobs.tests.api.programs import Program
from jobs.tests.storage.disks import fill_the_disk, full, spooled, volume
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

UNTOUCHED = Balances(available=100 * CREDIT)
PLACES: dict[str, tuple[Any, str]] = {
    "while it is received": (requests, "open_picture_file"),
    "while it is stored": (files, "put"),
    "when room is made": (spool, "allocate"),
}


def told(answer: httpx.Response) -> tuple[int, int, str | None]:
    return answer.status_code, answer.json()["error"]["code"], answer.headers.get("Retry-After")


def assert_nothing_happened(world: World, server: Server, settings: Settings) -> None:
    assert server.calls == 0
    assert ledger.balances(world.team) == UNTOUCHED
    assert spooled(settings) == []


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_program_is_told_to_come_back_later(
    committed_world: World,
    program: Program,
    server: Server,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, str],
    code: int,
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*place, no_room)
        answer = program.call()
        assert told(answer) == (503, -3, "60")
        assert "disk of this service is full. Nothing was charged" in answer.text
    assert_nothing_happened(committed_world, server, settings)
    assert program.call().status_code == 200


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_drop_in_says_it_in_its_own_way(
    committed_world: World,
    program: Program,
    server: Server,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, str],
) -> None:
    monkeypatch.setattr(*place, full)
    answer = program.http.post("/v1.0/removebg", files={"image_file": ("a.png", small_png(9, 9))})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    (error,) = answer.json()["errors"]
    assert (error["code"], "disk of this service is full" in error["title"]) == ("server_error", True)
    assert_nothing_happened(committed_world, server, settings)


def test_our_own_api_says_it_as_the_contract_does(reader: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job.objects.__class__, "get_queryset", full)
    assert told(reader.http.get("/api/jobs")) == (503, -3, "60")


def test_another_failure_is_still_ours(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files, "put", broken)
    assert told(program.call())[:2] == (500, 500)
    assert "OSError: [Errno 5] broken" in caplog.text


@pytest.fixture
def full_volume(settings: Settings) -> Iterator[Path]:
    """Put the files on a volume that is full."""
    with volume(Path(settings.MEDIA_ROOT), megabytes=24) as place:
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir()
        (place / "filler").write_bytes(bytes(23 * 1024 * 1024))
        yield place


def test_a_volume_that_is_really_full(
    full_volume: Path, committed_world: World, program: Program, server: Server, settings: Settings
) -> None:
    assert told(program.call(small_png(2000, 2000))) == (503, -3, "60")
    assert_nothing_happened(committed_world, server, settings)
    (full_volume / "filler").unlink()
    assert program.call(small_png(2000, 1000)).status_code == 503  # not enough for the worst case
    assert program.call(small_png(100, 100)).status_code == 200


def test_a_program_whose_paid_result_finds_no_room_gets_it_later(
    committed_world: World, program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remove.bg API waits for the stored result, and the same key gets it once there is space."""
    put = files.put

    def full_for_results(name: str, file: Any) -> str:
        if "result" in name:
            full()
        return put(name, file)

    def call() -> httpx.Response:
        picture = {"image_file": ("a.png", small_png(9, 9))}
        return program.http.post("/v1.0/removebg", files=picture, headers={"Idempotency-Key": "mine"})

    with monkeypatch.context() as patch:
        patch.setattr(files, "put", full_for_results)
        answer = call()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "was charged and is safe" in answer.text
    assert Job.objects.get().reason == Job.Reason.RESULT_WAITS
    assert run(server)[0].state == "done"
    assert call().status_code == 200
    assert server.calls == 1
    assert ledger.balances(committed_world.team).held == 0


def test_a_person_is_told_which_picture_was_not_stored(
    world: World, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two pictures fits."""
    put, names = files.put, []

    def one(name: str, file: Any) -> str:
        names.append(name)
        if len(names) > 1:
            full()
        return put(name, file)

    monkeypatch.setattr(files, "put", one)
    client.force_login(world.bob)
    pictures = [SimpleUploadedFile(f"{n}.png", small_png(9 + n, 9)) for n in range(2)]
    response = client.post("/t/aurora/upload/", {"image": pictures})
    assert response.status_code == 302
    (message,) = get_messages(response.wsgi_request)
    assert "1.png: The server's disk is full, so nothing was stored and no credits were held" in str(message)
    assert [job.name for job in Job.objects.all()] == ["0.png"]
    missing = BatchFile.objects.missing().get()
    assert (missing.name, missing.problem) == ("1.png", "")
    pictures[1].seek(0)
    told_ = browser.send_file(client, missing.batch_id, missing.request_id, pictures[1])
    assert (told_.status_code, "disk is full" in told_.content.decode()) == (507, True)


def test_without_room_made_first_nothing_would_be_refused(
    committed_world: World, program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    fill_the_disk(monkeypatch)
    monkeypatch.setattr(disk_space, "_admit", lambda *_: None)
    monkeypatch.setattr(disk_space, "make_room", lambda *_: None)
    assert program.call().status_code == 200
    assert server.calls == 1
