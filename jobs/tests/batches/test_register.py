"""Listing a batch's files before they arrive: bad input, repeats, and what is still missing."""

import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from conftest import World, small_png
from jobs.batches import register as register_module
from jobs.batches.create import open_batch
from jobs.batches.register import Listing, TooManyFilesError, clean_folder, clean_name
from jobs.models import Batch, BatchFile
from jobs.queue import claims
from jobs.tests.browser import SCRIPT, begin, listing, post_json, register, upload

pytestmark = pytest.mark.both_databases

RIGHT_TO_LEFT = "\u202e"


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


def missing(client: Client, batch: object) -> list[dict[str, Any]]:
    response = client.get(reverse("batch_missing", args=["aurora", batch]), headers=SCRIPT)
    assert response.status_code == 200
    files: list[dict[str, Any]] = response.json()["files"]
    return files


def test_files_are_listed_and_missing_until_they_arrive(bob: Client) -> None:
    batch = begin(bob, name="Autumn")
    first = listing(1, name="a.png", folder="shoes", bytes=1234, width=10, height=20, sha256="a" * 64)
    second = listing(2)
    assert register(bob, batch, first, second).json() == {"known": [], "refused": {}}

    columns = ("request_id", "number", "name", "folder", "bytes", "sha256")
    assert missing(bob, batch)[0] == {name: first[name] for name in columns}
    upload(bob, batch=batch, request_id=second["request_id"])
    assert [file["name"] for file in missing(bob, batch)] == ["a.png"]
    assert register(bob, batch, first, second).json()["known"] == [second["request_id"]]
    assert BatchFile.objects.count() == 2


def test_a_batch_is_begun_once(world: World, bob: Client) -> None:
    batch = begin(bob, name=" Autumn\n2026\x00 ")
    begin(bob, batch=batch, name="Other")
    response = post_json(bob, "open_batch", "aurora", id=str(batch))
    assert response.json() == {"url": reverse("batch", args=["aurora", batch])}
    its = Batch.objects.get()
    assert (its.name, its.created_by, its.team) == ("Autumn2026", world.bob, world.team)


def test_another_teams_batch_is_not_there(world: World, bob: Client) -> None:
    theirs = open_batch(world.charlie.memberships.get().team, world.charlie, uuid4()).pk
    assert post_json(bob, "open_batch", "aurora", id=str(theirs)).status_code == 404
    assert register(bob, theirs, listing()).status_code == 404
    assert bob.get(reverse("batch_missing", args=["aurora", theirs])).status_code == 404
    assert not BatchFile.objects.exists()


def test_a_viewer_looks_and_adds_nothing(world: World, client: Client) -> None:
    batch = open_batch(world.team, world.bob, uuid4()).pk
    client.force_login(world.vera)
    assert missing(client, batch) == []
    assert register(client, batch, listing()).status_code == 403
    assert post_json(client, "open_batch", "aurora", id=str(uuid4())).status_code == 403
    assert (BatchFile.objects.count(), Batch.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),  # text, which pages escape
        (f"photo{RIGHT_TO_LEFT}gnp.exe", "photognp.exe"),
        (unicodedata.normalize("NFD", "Grüße.jpg"), "Grüße.jpg"),
        ("a\nb\x00c\ud800.png", "abc.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Photos\\a.png", "a.png"),
        ("..", "picture"),
        (" ", "picture"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
    ],
)
def test_names_are_made_safe(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("shoes/red", "shoes/red"),
        ("/shoes//red/", "shoes/red"),
        ("../../shoes/./../red", "shoes/red"),
        ("shoes\\red", "shoes/red"),
        (f"a{RIGHT_TO_LEFT}b/c\x07", "ab/c"),
        (unicodedata.normalize("NFD", "Röcke"), "Röcke"),
        ("..", ""),
        ("a/" * 400, "/".join("a" * 250)),
    ],
)
def test_folders_are_made_safe(sent: str, kept: str) -> None:
    assert clean_folder(sent) == kept


def test_hostile_names_go_through_the_database(bob: Client) -> None:
    batch = begin(bob)
    names = [f"{RIGHT_TO_LEFT}a\x00b.png", "same.png", "same.png", "é" * 300]
    response = register(bob, batch, *(listing(n, name=name) for n, name in enumerate(names, 1)))
    assert response.status_code == 200
    kept = [file["name"] for file in missing(bob, batch)]
    assert kept == ["ab.png", "same.png", "same.png", "é" * 255]


def test_a_batch_has_2000_files_and_not_one_more(bob: Client) -> None:
    batch = begin(bob)
    for start in range(0, 2000, 500):
        sent = [listing(start + n + 1, name="a.png") for n in range(500)]
        assert register(bob, batch, *sent).status_code == 200
    assert register(bob, batch, *sent).status_code == 200  # they are listed already
    response = register(bob, batch, listing(2001))
    assert (response.status_code, "at most 2000 pictures" in response.content.decode()) == (400, True)
    assert len(missing(bob, batch)) == 2000


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"files": []}',
        '{"files": {}}',
        '{"files": [1]}',
        '{"files": [{"name": "a.png"}]}',
        '{"files": [{"request_id": "x", "name": "a.png"}]}',
        '{"files": [{"request_id": "00000000-0000-4000-8000-000000000001", "name": 1}]}',
        '{"files": ' + "[" * 100_000 + "]}",
    ],
)
def test_what_is_no_list_of_files_is_refused(bob: Client, body: str) -> None:
    address = reverse("batch_files", args=["aurora", begin(bob)])
    assert bob.post(address, body, "application/json", headers=SCRIPT).status_code == 400
    assert not BatchFile.objects.exists()


def test_501_files_are_too_many_at_once(bob: Client) -> None:
    assert register(bob, begin(bob), *map(listing, range(501))).status_code == 400


@pytest.mark.parametrize("value", [-1, 0, 2**31, 2**80, 1.5, True, "9", None, [], float("inf")])
def test_measures_that_make_no_sense_are_unknown(value: object) -> None:
    measures = dict.fromkeys(("bytes", "width", "height", "number", "sha256"), value)
    found = Listing.parse(listing() | measures)
    assert (found.bytes, found.width, found.height, found.number, found.sha256) == (None,) * 4 + ("",)


@pytest.mark.parametrize("size", [{"bytes": 40_000_000}, {"width": 8000, "height": 6000}])
def test_what_is_surely_too_large_is_refused_before_its_upload(bob: Client, size: dict[str, int]) -> None:
    batch, file = begin(bob), listing(**size)
    refused = register(bob, batch, file).json()["refused"]
    assert "limit is" in refused[file["request_id"]]
    assert BatchFile.objects.get().problem == "too_large"
    assert missing(bob, batch) == []


def test_a_number_that_is_taken_becomes_the_next_free_one(bob: Client) -> None:
    """Two people add to a batch at once, and both begin at 1."""
    batch = begin(bob)
    register(bob, batch, listing(1, name="a"), listing(2, name="b"))
    register(bob, batch, listing(1, name="c"), listing(3, name="d"), listing(3, name="e"))
    assert [(file["number"], file["name"]) for file in missing(bob, batch)] == [
        *((1, "a"), (2, "b"), (3, "d"), (4, "c"), (5, "e"))
    ]


def lists_at_once(world: World, monkeypatch: pytest.MonkeyPatch, most: int) -> list[bool]:
    """Two people list three files each, of which the batch takes so many."""
    monkeypatch.setattr(register_module, "MAX_FILES", most)
    batch = open_batch(world.team, world.bob, uuid4())
    start = threading.Barrier(2)

    def one(_: int) -> bool:
        try:
            start.wait()
            register_module.register(batch, [Listing("a.png", uuid4(), n) for n in (1, 2, 3)])
        except TooManyFilesError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(2)))


def test_two_lists_at_once_get_numbers_of_their_own(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lists_at_once(committed_world, monkeypatch, 6) == [True, True]
    assert list(BatchFile.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]


def test_two_lists_at_once_stay_within_the_bound(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(lists_at_once(committed_world, monkeypatch, 5)) == [False, True]
    assert BatchFile.objects.count() == 3


def test_without_the_lock_two_lists_at_once_collide(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both have read the numbers before either writes."""
    numbers, both_have_read = register_module._numbers, threading.Barrier(2)

    def number_later(listings: Any, taken: set[int]) -> Any:
        both_have_read.wait(30)
        return numbers(listings, taken)

    monkeypatch.setattr(claims, "writing", nullcontext)
    monkeypatch.setattr(Batch.objects, "select_for_update", lambda **_: Batch.objects.all())
    monkeypatch.setattr(register_module, "_numbers", number_later)
    with pytest.raises(IntegrityError):
        lists_at_once(committed_world, monkeypatch, 6)


def test_a_batch_of_a_team_knows_what_another_batch_has_taken_in(bob: Client) -> None:
    request_id = uuid4()
    upload(bob, small_png(9, 9), request_id=request_id)
    other, file = begin(bob), listing(request_id=str(request_id))
    assert register(bob, other, file).json()["known"] == [str(request_id)]
