"""The addresses of a batch's ZIP, manifest and names: for the team, and as browsers and curl ask (E16)."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock
from urllib.parse import unquote
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from conftest import World
from jobs.batches import packing
from jobs.intake.forms import UploadRefusedError
from jobs.models import Batch, Job, Rendition
from jobs.storage.files import StorageUnavailableError
from jobs.tests import upstream as wire
from jobs.tests.batches.boxes import add, batch_of, delta_of, new_batch, photo
from jobs.tests.upstream import Server, run
from jobs.views import download_slots
from jobs.views.batches import downloads
from jobs.views.download_slots import BusyError, Held, Slots


@pytest.fixture
def bob(world: World, client: Client) -> Client:
    client.force_login(world.bob)
    return client


@pytest.fixture
def batch(world: World, server: Server) -> Batch:
    return batch_of(world, server, ["a.jpg", "b.jpg"])


def address(batch: Batch, name: str = "batch_zip") -> str:
    return reverse(name, args=[batch.team.slug, batch.pk])


def body(response: Any) -> bytes:
    assert isinstance(response, StreamingHttpResponse)
    return b"".join(response)


def names(content: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_all_pictures_are_downloaded(bob: Client, batch: Batch) -> None:
    response = bob.get(address(batch))
    assert (response.status_code, names(body(response))) == (200, ["a.png", "b.png", "manifest.csv"])
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["Content-Disposition"] == 'attachment; filename="Shoes.zip"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_the_first_has_no_size_and_the_next_one_has(bob: Client, batch: Batch) -> None:
    first = bob.get(address(batch), headers={"Range": "bytes=5-"})
    assert (first.status_code, "Content-Length" in first.headers, "ETag" in first.headers) == (
        200,
        False,
        False,
    )
    assert first.headers["Accept-Ranges"] == "none"
    content = body(first)
    second = bob.get(address(batch))
    assert second.headers["Content-Length"] == str(len(content))
    assert second.headers["Accept-Ranges"] == "bytes"
    assert body(second) == content


@pytest.fixture
def whole(bob: Client, batch: Batch) -> tuple[bytes, str]:
    """The bytes of a download whose files are all made, and its validator."""
    body(bob.get(address(batch)))
    response = bob.get(address(batch))
    return body(response), response.headers["ETag"]


RANGES: list[tuple[str, int, int | None]] = [
    ("bytes=0-0", 0, 1),
    ("bytes=100-", 100, None),
    ("BYTES = 7-9", 7, 10),
    ("bytes=-5", -5, None),
    ("bytes=3-999999999", 3, None),
]


def test_a_range_is_served(bob: Client, batch: Batch, whole: tuple[bytes, str]) -> None:
    content, etag = whole
    for header, first, stop in RANGES:
        response = bob.get(address(batch), headers={"Range": header, "If-Range": etag})
        part = content[first:stop]
        begin = first % len(content) if first < 0 else first
        assert (response.status_code, body(response)) == (206, part), header
        expected = f"bytes {begin}-{begin + len(part) - 1}/{len(content)}"
        assert response.headers["Content-Range"] == expected
        assert response.headers["Content-Length"] == str(len(part))
        assert response.headers["ETag"] == etag


NO_RANGES = [
    {"Range": "bytes=0-1,5-6"},
    {"Range": "bytes=5-1"},
    {"Range": "bytes=-"},
    {"Range": "lines=1-2"},
    {"Range": "bytes=x-"},
    {"Range": "bytes=1-", "If-Range": '"other"'},
    {"Range": "bytes=1-", "If-Range": "Wed, 21 Oct 2026 07:28:00 GMT"},
]


def test_otherwise_the_whole_is_sent(bob: Client, batch: Batch, whole: tuple[bytes, str]) -> None:
    for headers in NO_RANGES:
        response = bob.get(address(batch), headers=headers)
        assert (response.status_code, body(response)) == (200, whole[0]), headers


def test_a_range_behind_the_end_is_refused(bob: Client, batch: Batch, whole: tuple[bytes, str]) -> None:
    for header in ("bytes=99999999-", "bytes=-0"):
        response = bob.get(address(batch), headers={"Range": header})
        assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{len(whole[0])}")


def test_whoever_has_it_is_not_sent_it_again(bob: Client, batch: Batch, whole: tuple[bytes, str]) -> None:
    response = bob.get(address(batch), headers={"If-None-Match": whole[1]})
    assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", whole[1])
    assert bob.get(address(batch), headers={"If-Match": '"other"'}).status_code == 412


def test_a_cut_download_goes_on_only_if_nothing_came_meanwhile(
    world: World, server: Server, bob: Client, batch: Batch, whole: tuple[bytes, str]
) -> None:
    content, etag = whole
    rest = bob.get(address(batch), headers={"Range": f"bytes={len(content) // 2}-", "If-Range": etag})
    assert content[: len(content) // 2] + body(rest) == content
    job = add(world, server, batch, "c.jpg")
    body(bob.get(address(batch)))
    late = bob.get(address(batch), headers={"Range": f"bytes={len(content) // 2}-", "If-Range": etag})
    assert (late.status_code, names(body(late))) == (200, ["a.png", "b.png", "c.png", "manifest.csv"])
    assert job.state == "done"


def test_asking_for_the_head_makes_nothing(bob: Client, batch: Batch) -> None:
    response = bob.head(address(batch))
    assert (response.status_code, Rendition.objects.count()) == (200, 0)
    body(bob.get(address(batch)))
    assert int(bob.head(address(batch)).headers["Content-Length"]) == len(body(bob.get(address(batch))))


def test_the_selected_and_the_approved(bob: Client, batch: Batch) -> None:
    first, second = batch.jobs.order_by("number")
    Job.objects.filter(pk=first.pk).update(proof="approved")
    approved = bob.get(address(batch), {"only": "approved"})
    assert names(body(approved)) == ["a.png", "manifest.csv"]
    for query in ({"job": [second.pk]}, {"job": [f"{second.pk},{10**9}"]}, {"job": [second.pk, second.pk]}):
        assert names(body(bob.get(address(batch), query))) == ["b.png", "manifest.csv"]


@pytest.mark.parametrize("query", [{"only": "some"}, {"job": "x"}, {"job": "1;2"}, {"job": "9" * 30}])
def test_a_selection_that_cannot_be_is_refused(bob: Client, batch: Batch, query: dict[str, str]) -> None:
    assert bob.get(address(batch), query).status_code == 400


def test_jobs_of_another_batch_are_not_in_it(world: World, server: Server, bob: Client, batch: Batch) -> None:
    other = batch_of(world, server, ["secret.jpg"]).jobs.get()
    response = bob.get(address(batch), {"job": other.pk})
    assert names(body(response)) == ["manifest.csv"]


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("vera", 200), ("charlie", 404)])
def test_who_gets_it(world: World, client: Client, batch: Batch, who: str, status: int) -> None:
    client.force_login(getattr(world, who))
    for name in ("batch_zip", "batch_manifest"):
        response = client.get(address(batch, name))
        assert response.status_code == status
        assert status == 404 or body(response)
        assert client.get(reverse(name, args=["outsiders", batch.pk])).status_code == 404
    assert client.get(reverse("batch_zip", args=[world.team.slug, uuid4()])).status_code == 404
    assert not download_slots.SLOTS.taken()


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("Été: noir", "Été_ noir.zip"),
        ('a"; filename="evil.exe', "a_; filename=_evil.exe.zip"),
        ("a\r\nSet-Cookie: x=1", "a  Set-Cookie_ x=1.zip"),
        ("../../x", "_.._x.zip"),
        ("\u202egpj", "gpj.zip"),
        ("...", "batch.zip"),
        ("CON", "_CON.zip"),
        ("写真 🐈", "写真 🐈.zip"),
    ],
)
def test_a_download_is_named_after_its_batch_and_nothing_else(
    bob: Client, batch: Batch, name: str, saved: str
) -> None:
    Batch.objects.update(name=name)
    for view, ending in (("batch_zip", "zip"), ("batch_manifest", "csv")):
        response = bob.get(address(batch, view))
        body(response)
        header = response.headers["Content-Disposition"]
        expected = saved.removesuffix("zip") + ending
        assert header.isascii()
        assert header.startswith("attachment; filename=")
        assert expected in (unquote(header.partition("UTF-8''")[2]), header.split('"')[1])
        assert "Set-Cookie" not in response.headers


def test_the_manifest_is_csv_that_nobody_runs(bob: Client, batch: Batch) -> None:
    response = bob.get(address(batch, "batch_manifest"))
    text = body(response).decode()
    assert text.startswith(
        "\ufefffile,original,folder,state,problem,width,height,bytes,credits,verdict,sha256\r\n"
    )
    assert "a.png,a.jpg,,done,,,,,0.000123,matched,\r\n" in text  # not made yet
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="Shoes.csv"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    body(bob.get(address(batch)))
    assert ",40,30," in body(bob.get(address(batch, "batch_manifest"))).decode()


def test_a_team_has_three_downloads_at_once(
    bob: Client, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SLOTS", Slots())
    begun = [bob.get(address(batch)) for _ in range(3)]
    refused = bob.get(address(batch))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "20")
    body(begun[0])
    assert names(body(bob.get(address(batch)))) == ["a.png", "b.png", "manifest.csv"]
    names(body(begun[1]))
    assert bob.get(address(batch)).status_code == 200


@pytest.mark.parametrize("failure", [StorageUnavailableError("away"), OperationalError("away")])
def test_a_download_that_fails_at_its_start_takes_no_place(
    bob: Client, batch: Batch, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(downloads, "SLOTS", slots := Slots(1))
    bob.raise_request_exception = False
    kept, really_hold = list[Held](), slots.hold

    def hold(team: str, content: Iterator[bytes]) -> Held:
        kept.append(really_hold(team, content))  # as whatever keeps the failure and its frames does
        return kept[-1]

    monkeypatch.setattr(slots, "hold", hold)
    with monkeypatch.context() as away:
        away.setattr(packing, "fetch", Mock(side_effect=failure))
        assert [bob.get(address(batch)).status_code for _ in range(2)] == [503, 503]
    assert bob.get(address(batch)).status_code == 200


def test_a_download_that_is_dropped_unclosed_takes_no_place() -> None:
    """A session, for one, is stored after the view; if that fails, a page replaces the download."""
    slots = Slots(1)
    held = slots.hold("a", iter(()))
    with pytest.raises(BusyError):
        slots.hold("a", iter(()))
    del held
    slots.hold("a", iter(()))


def test_downloads_leave_threads_to_pages() -> None:
    slots = Slots(2)
    held = [slots.hold(team, iter(())) for team in ("a", "b")]
    with pytest.raises(BusyError):
        slots.hold("c", iter(()))
    for each in held:
        each.close()
        each.close()
    slots.hold("c", iter(()))


def rename(client: Client, batch: Batch, **fields: Any) -> Any:
    return client.post(address(batch, "batch_names"), fields, headers={"HX-Request": "true"})


def test_a_pattern_is_stored_and_its_first_names_are_shown(bob: Client, batch: Batch) -> None:
    response = rename(bob, batch, pattern="{number}-{name}")
    assert response.status_code == 200
    assert "1-a.png" in response.content.decode()
    assert names(body(bob.get(address(batch)))) == ["1-a.png", "2-b.png", "manifest.csv"]
    rename(bob, batch, pattern="{folder}/{name}")
    batch.refresh_from_db()
    assert batch.file_names["pattern"] == ""  # the default, whatever outputs come


def test_a_list_gives_new_names(bob: Client, batch: Batch) -> None:
    listed = SimpleUploadedFile("names.csv", b"old;new\r\na.jpg;SKU-1\r\nz.jpg;SKU-9\r\n")
    text = " ".join(rename(bob, batch, pattern="", list=listed).content.decode().split())
    assert "1 line of the list names a picture of this batch. 1 line names none." in text
    assert "{folder}/{sku}" in text
    assert names(body(bob.get(address(batch)))) == ["SKU-1.png", "b.png", "manifest.csv"]
    rename(bob, batch, pattern="x-{sku}")  # the list stays
    assert names(body(bob.get(address(batch)))) == ["x-SKU-1.png", "x-b.png", "manifest.csv"]
    rename(bob, batch, pattern="{sku}", without_list="1")
    assert names(body(bob.get(address(batch)))) == ["a.png", "b.png", "manifest.csv"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pattern": "{size}"}, "{size}"),
        ({"pattern": "", "list": b"nothing"}, "no line"),
        ({"pattern": "x" * 999}, "longer"),
    ],
)
def test_what_cannot_be_used_is_said_and_stays_written(
    bob: Client, batch: Batch, fields: dict[str, Any], message: str
) -> None:
    if "list" in fields:
        fields = fields | {"list": SimpleUploadedFile("names.csv", fields["list"])}
    response = rename(bob, batch, **fields)
    assert response.status_code == 400
    assert message in response.content.decode()
    assert fields["pattern"] in response.content.decode()
    batch.refresh_from_db()
    assert batch.file_names == {}


def test_without_scripts_the_batch_page_follows(bob: Client, batch: Batch) -> None:
    response = bob.post(address(batch, "batch_names"), {"pattern": "{number}"})
    assert (response.status_code, response.headers["Location"]) == (302, batch.get_absolute_url())
    refused = bob.post(address(batch, "batch_names"), {"pattern": "{"})
    assert (refused.status_code, refused.templates[0].name) == (400, "jobs/names.html")


def test_a_name_is_not_run_on_the_page(world: World, server: Server, bob: Client) -> None:
    batch = batch_of(world, server, ["<img src=x onerror=alert(1)>.jpg"])
    content = rename(bob, batch, pattern="<b>{name}").content.decode()
    assert "<img src=x" not in content
    assert "<b>" not in content


@pytest.mark.parametrize(("who", "status"), [("alice", 302), ("bob", 302), ("vera", 403), ("charlie", 404)])
def test_who_may_name(world: World, client: Client, who: str, status: int) -> None:
    client.force_login(getattr(world, who))
    assert client.post(address(new_batch(world), "batch_names"), {"pattern": "{name}"}).status_code == status


# Pictures that are something else too (E16) -----------------------------------------------------------------

SCRIPT = b"<html><script>alert(document.domain)</script></html>"


def a_zip() -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("evil.html", SCRIPT)
    return file.getvalue()


@pytest.mark.parametrize("payload", [SCRIPT, a_zip()], ids=["HTML", "ZIP"])
def test_a_picture_that_is_something_else_too_leaves_as_a_picture_alone(
    world: World, server: Server, bob: Client, payload: bytes
) -> None:
    source = photo() + payload
    batch = new_batch(world)
    world.job(source, batch=batch.pk)
    server.script.append(wire.answer(delta_of(photo()) + payload))
    job, _wait = run(server)
    assert payload in job.result.read() + job.source.read()  # the control: these are kept as they came
    job.result.close()
    job.source.close()
    content = body(bob.get(address(batch)))
    single = bob.get(reverse("download", args=[world.team.slug, job.pk]))
    assert single.headers["Content-Disposition"].startswith("attachment;")
    assert (single.headers["Content-Type"], single.headers["X-Content-Type-Options"]) == (
        "image/png",
        "nosniff",
    )
    for sent in (content, body(single)):
        assert SCRIPT not in sent
        assert b"evil" not in sent
    assert names(content) == ["photo.png", "manifest.csv"]


@pytest.mark.parametrize("content", [b'<svg xmlns="http://www.w3.org/2000/svg"/>', SCRIPT, a_zip()])
def test_what_is_no_picture_does_not_come_in(world: World, content: bytes) -> None:
    with pytest.raises(UploadRefusedError):
        world.job(content)
