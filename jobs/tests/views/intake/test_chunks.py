"""Uploads in chunks: over a line that breaks, two at once, repeated, too large, and left behind."""

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from conftest import World, small_png
from jobs.audit.verify import run as verify
from jobs.intake import chunks
from jobs.intake.chunks import CHUNK_BYTES, UnfinishedUpload
from jobs.models import BatchFile, Job
from jobs.storage import files
from jobs.tests.browser import SCRIPT, begin, listing, register
from jobs.tests.storage.disks import full
from jobs.worker import periodic

PICTURE = small_png(64, 64)
THIRD = -(-len(PICTURE) // 3)


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


@pytest.fixture
def file(bob: Client) -> BatchFile:
    """A listed file of 64 × 64 pixels."""
    batch, sent = begin(bob), listing(bytes=len(PICTURE))
    register(bob, batch, sent)
    return BatchFile.objects.get()


def address(file: BatchFile) -> str:
    return reverse("upload_chunk", args=["aurora", file.batch_id, file.request_id])


def send(client: Client, file: BatchFile, offset: object, content: bytes) -> Any:
    query = f"?offset={offset}"
    return client.post(address(file) + query, content, "application/octet-stream", headers=SCRIPT)


def received(client: Client, file: BatchFile) -> dict[str, Any]:
    response = client.get(address(file), headers=SCRIPT)
    assert response.status_code == 200
    data: dict[str, Any] = response.json()
    return data


def finish(client: Client, file: BatchFile) -> Any:
    data = {"request_id": str(file.request_id), "assembled": "1"}
    return client.post(reverse("batch_upload", args=["aurora", file.batch_id]), data, headers=SCRIPT)


def send_all(client: Client, file: BatchFile, content: bytes = PICTURE) -> None:
    for offset in range(0, len(content), THIRD):
        assert send(client, file, offset, content[offset : offset + THIRD]).status_code == 200


def stored_chunks(settings: Settings) -> list[Path]:
    return [path for path in (Path(settings.MEDIA_ROOT) / ".uploads").rglob("*") if path.is_file()]


def test_a_file_in_chunks_becomes_a_picture(bob: Client, file: BatchFile, settings: Settings) -> None:
    assert received(bob, file) == {"received": 0, "done": False}
    send_all(bob, file)
    assert received(bob, file) == {"received": len(PICTURE), "done": False}
    response = finish(bob, file)
    assert (response.status_code, response.content) == (201, b"")
    with Job.objects.get().source.open() as source:
        assert source.read() == PICTURE
    assert stored_chunks(settings) == []
    assert verify(quick=True).findings == []


def test_a_browser_goes_on_from_what_is_here(bob: Client, file: BatchFile) -> None:
    """The line broke in the first chunk's answer, and the second one never left."""
    send(bob, file, 0, PICTURE[:THIRD])
    send(bob, file, 2 * THIRD, PICTURE[2 * THIRD :])
    assert received(bob, file)["received"] == THIRD
    assert send(bob, file, THIRD, PICTURE[THIRD : 2 * THIRD]).json()["received"] == len(PICTURE)
    assert finish(bob, file).status_code == 201


def test_a_chunk_may_be_repeated_and_cut_differently(bob: Client, file: BatchFile) -> None:
    send(bob, file, 0, PICTURE[:10])
    send(bob, file, 0, PICTURE[:10])
    assert send(bob, file, 0, PICTURE[:THIRD]).json()["received"] == THIRD
    send(bob, file, THIRD, PICTURE[THIRD:])
    assert finish(bob, file).status_code == 201


def test_before_all_is_here_nothing_is_taken_in(bob: Client, file: BatchFile) -> None:
    send(bob, file, 0, PICTURE[:THIRD])
    response = finish(bob, file)
    assert (response.status_code, "hasn't arrived" in response.content.decode()) == (409, True)
    file.refresh_from_db()
    assert file.problem == ""
    assert received(bob, file)["received"] == THIRD
    assert finish(bob, BatchFile(request_id=uuid4(), batch_id=file.batch_id)).status_code == 409


def test_after_the_end_a_chunk_is_not_kept(bob: Client, file: BatchFile, settings: Settings) -> None:
    send_all(bob, file)
    assert [finish(bob, file).status_code for _ in range(2)] == [201, 201]
    assert send(bob, file, 0, PICTURE[:THIRD]).json() == {"received": len(PICTURE), "done": True}
    assert (Job.objects.count(), stored_chunks(settings)) == (1, [])


def test_what_is_no_picture_is_refused_and_makes_room(
    bob: Client, file: BatchFile, settings: Settings
) -> None:
    send_all(bob, file, b"x" * len(PICTURE))
    assert finish(bob, file).status_code == 400
    file.refresh_from_db()
    assert file.problem == "unreadable"
    assert stored_chunks(settings) == []


def test_only_a_missing_chunk_is_a_conflict(bob: Client, file: BatchFile) -> None:
    """After one, the page's script sends what isn't here again, which is in vain if it won't be taken."""
    for status, change in ((422, {"sha256": "0" * 64}), (410, {"problem": "removed"})):
        send_all(bob, file)
        BatchFile.objects.update(**change)
        assert finish(bob, file).status_code == status
        BatchFile.objects.update(sha256="", problem="")
    assert finish(bob, file).status_code == 409  # they were discarded


@pytest.mark.parametrize("offset", ["", "x", "-1", "1.5", "1" * 20, "²"])
def test_an_offset_is_a_number(bob: Client, file: BatchFile, settings: Settings, offset: str) -> None:
    assert send(bob, file, offset, b"x").status_code == 400
    assert stored_chunks(settings) == []


@pytest.mark.parametrize(
    ("offset", "size", "listed", "status"),
    [
        (0, 0, 100, 400),
        (0, CHUNK_BYTES + 1, None, 400),
        (0, 3 << 20, None, 400),  # more than Django reads into memory
        (90, 11, 100, 400),
        (31_457_280, 1, None, 413),
        (31_457_279, 1, None, 200),
    ],
)
def test_sizes_are_bounded(
    bob: Client, file: BatchFile, offset: int, size: int, listed: int | None, status: int
) -> None:
    BatchFile.objects.update(bytes=listed)
    assert send(bob, file, offset, bytes(size)).status_code == status


def test_chunks_are_for_listed_files_of_the_team(
    world: World, bob: Client, file: BatchFile, settings: Settings
) -> None:
    unlisted = BatchFile(batch_id=file.batch_id, request_id=uuid4())
    elsewhere = BatchFile(batch_id=uuid4(), request_id=file.request_id)
    assert [send(bob, each, 0, b"x").status_code for each in (unlisted, elsewhere)] == [404, 404]
    for user, status in ((world.charlie, 404), (world.vera, 403)):
        bob.force_login(user)
        assert send(bob, file, 0, b"x").status_code == status
        assert finish(bob, file).status_code == status
    assert stored_chunks(settings) == []


def test_a_removed_file_takes_no_chunk(bob: Client, file: BatchFile) -> None:
    BatchFile.objects.update(problem="removed")
    assert send(bob, file, 0, b"x").status_code == 410


def test_a_full_disk_is_told(bob: Client, file: BatchFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "put", full)
    response = send(bob, file, 0, PICTURE)
    assert (response.status_code, "disk is full" in response.content.decode()) == (507, True)


def test_a_persons_oldest_upload_makes_room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_UNFINISHED", 3)
    uploads = [UnfinishedUpload(1, 2, UUID(int=n)) for n in range(5)]
    for n, upload in enumerate(uploads):
        upload.add(7, b"xyz")
        for path in stored_chunks(settings):
            if str(upload.request_id) in str(path):
                os.utime(path, (time.time() - 100 + n,) * 2)
    UnfinishedUpload(1, 3, uuid4()).add(0, b"another person's")
    left = [(path.parts[-3], path.parts[-2]) for path in stored_chunks(settings)]
    assert sorted(name for person, name in left if person == "2") == [str(UUID(int=n)) for n in (2, 3, 4)]
    assert len(left) == 4


def test_chunks_that_overlap_do_not_fill_the_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_UPLOAD_BYTES", 1000)
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 20)
    upload = UnfinishedUpload(1, 2, uuid4())
    for size in [*range(1, 200), *[1] * 50]:
        upload.add(random.Random(size).randrange(10), bytes(size))
        assert sum(path.stat().st_size for path in stored_chunks(settings)) <= 1000
        assert len(stored_chunks(settings)) <= 22


def age(settings: Settings, hours: float) -> None:
    for path in stored_chunks(settings):
        os.utime(path, (time.time() - 3600 * hours,) * 2)


def test_what_nobody_finishes_is_purged_after_a_day(bob: Client, file: BatchFile, settings: Settings) -> None:
    send(bob, file, 0, PICTURE[:THIRD])
    age(settings, 23.9)
    assert chunks.purge() == 0
    age(settings, 24.1)
    fresh = UnfinishedUpload(1, 2, uuid4())
    fresh.add(0, b"xyz")
    assert chunks.purge() == 1
    assert (fresh.received(), received(bob, file)["received"]) == (3, 0)
    assert not default_storage.exists(f".uploads/{file.batch.team_id}/{file.request_id}")


def test_a_worker_purges_them() -> None:
    _first, every, _run = periodic.TASKS["chunks"]
    assert every == timedelta(hours=1)


def at_once(one: Callable[[Client, int], int], world: World, times: int) -> list[int]:
    def run(n: int) -> int:
        client = Client()
        client.force_login(world.bob)
        try:
            return one(client, n)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return sorted(pool.map(run, range(times)))


@pytest.mark.both_databases
def test_chunks_and_ends_at_once_are_one_picture(committed_world: World, settings: Settings) -> None:
    client = Client()
    client.force_login(committed_world.bob)
    batch, sent = begin(client), listing(bytes=len(PICTURE))
    register(client, batch, sent)
    file = BatchFile.objects.get()

    def chunk(mine: Client, n: int) -> int:
        offset = n % 3 * THIRD
        return int(send(mine, file, offset, PICTURE[offset : offset + THIRD]).status_code)

    assert at_once(chunk, committed_world, 6) == [200] * 6
    assert received(client, file)["received"] == len(PICTURE)
    assert at_once(lambda mine, _: int(finish(mine, file).status_code), committed_world, 4) == [201] * 4
    assert Job.objects.count() == 1
    assert verify(quick=True).findings == []
    assert stored_chunks(settings) == []
