"""Receiving a file never writes more of it to the disk than the contract allows."""

import random
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.ledger import operations as ledger
from conftest import World, small_png
from jobs.intake import forms, upload_handler
from jobs.intake.upload_handler import BoundedUploadHandler
from jobs.models import BatchFile, Job
from jobs.tests import browser

LIMIT = 150_000


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Set a small limit; return the list that fills with each received file's size on disk."""
    sizes: list[int] = []

    def complete(handler: BoundedUploadHandler, file_size: int) -> object:
        handler.file.flush()
        sizes.append(Path(handler.file.temporary_file_path()).stat().st_size)
        return super(BoundedUploadHandler, handler).file_complete(file_size)

    monkeypatch.setattr(upload_handler, "MAX_UPLOAD_BYTES", LIMIT)
    monkeypatch.setattr(forms, "MAX_UPLOAD_BYTES", LIMIT)
    monkeypatch.setattr(BoundedUploadHandler, "file_complete", complete, raising=False)
    return sizes


def send(client: Client, world: World, content: bytes) -> int:
    client.force_login(world.bob)
    status: int = browser.upload(client, content).status_code
    return status


def left_behind(settings: Settings) -> list[Path]:
    return list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir())


def test_a_file_within_the_limit_arrives_whole(
    world: World, client: Client, written: list[int], settings: Settings
) -> None:
    picture = small_png()
    assert send(client, world, picture) == 201
    assert written == [len(picture)]
    with Job.objects.get().source.open() as file:
        assert file.read() == picture
    assert left_behind(settings) == []


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 2, 3_000_000])
def test_a_file_beyond_it_is_refused_and_never_fills_the_disk(
    world: World, client: Client, written: list[int], settings: Settings, size: int
) -> None:
    assert send(client, world, random.Random(1).randbytes(size)) == 413
    assert len(written) == 1
    assert written[0] <= LIMIT
    assert left_behind(settings) == []
    assert not Job.objects.exists()
    assert ledger.balances(world.team).held == 0


def test_a_picture_hidden_in_front_of_too_much_is_refused(
    world: World, client: Client, written: list[int]
) -> None:
    assert send(client, world, small_png(9, 9) + bytes(LIMIT)) == 413


def test_each_file_of_a_drop_has_its_own_limit(world: World, client: Client, written: list[int]) -> None:
    client.force_login(world.bob)
    big = SimpleUploadedFile("big.png", bytes(LIMIT * 2))
    small = [SimpleUploadedFile(f"{n}.png", small_png(9 + n, 9)) for n in range(2)]
    response = client.post(reverse("upload", args=[world.team.slug]), {"image": [small[0], big, small[1]]})
    assert response.status_code == 302
    refused = BatchFile.objects.refused().get()
    assert (refused.name, refused.problem) == ("big.png", "too_large")
    assert sorted(Job.objects.values_list("name", flat=True)) == ["0.png", "1.png"]
    assert max(written) <= LIMIT


def test_without_the_bound_the_disk_takes_it_all(
    world: World, client: Client, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(upload_handler, "MAX_UPLOAD_BYTES", 10**9)
    assert send(client, world, bytes(LIMIT * 3)) == 413
    assert written == [LIMIT * 3]
