"""A batch's ZIP: everything in it is whole, it can be continued, and it says what is missing."""

import csv
import errno
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import translation
from PIL import Image

from conftest import World
from jobs.batches import packing, stored_file
from jobs.batches.download import ChangedError, Download
from jobs.batches.export import APPROVED, Selection
from jobs.models import Batch, BatchFile, Job, Rendition
from jobs.renditions import render
from jobs.renditions.decode_limit import DECODING
from jobs.renditions.style import PLAIN
from jobs.storage import files
from jobs.tests.batches.boxes import SIZE, add, batch_of, new_batch
from jobs.tests.storage.disks import full
from jobs.tests.upstream import Server

THREE = ("a.jpg", "b.jpg", "c.jpg")
WHITE = {"name": "White", "style": {"background": "color", "format": "jpeg"}}
PNG = {"name": "Plain", "style": {}}


def download(batch: Batch, **selection: Any) -> Download:
    return Download.of(Batch.objects.get(pk=batch.pk), Selection(**selection))


def sized(batch: Batch, **selection: Any) -> Any:
    found = download(batch, **selection).sized()
    assert found
    return found


def streamed(batch: Batch, **selection: Any) -> bytes:
    return b"".join(download(batch, **selection).stream())


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def lines(content: bytes) -> list[dict[str, str]]:
    manifest = unpacked(content)["manifest.csv"] if content[:2] == b"PK" else content
    return list(csv.DictReader(io.StringIO(manifest.decode("utf-8-sig"))))


def rendition(job: Job) -> Rendition:
    return Rendition.objects.get(job=job, style_sha256=PLAIN.sha256)


def damage(row: Rendition, content: bytes | None) -> None:
    path = Path(default_storage.path(str(row.file)))
    path.unlink() if content is None else path.write_bytes(content)


def unreadable(path: Path) -> None:
    """Put a folder in a file's place, which nobody can open as a file, however mighty."""
    path.unlink()
    path.mkdir()


def flipped(row: Rendition) -> bytes:
    content = bytearray(Path(default_storage.path(str(row.file))).read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.both_databases
def test_a_zip_has_every_picture_and_a_manifest(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    found = unpacked(content)
    assert list(found) == ["a.png", "b.png", "c.png", "manifest.csv"]
    image = Image.open(io.BytesIO(found["a.png"]))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", SIZE)
    assert lines(content)[0] == {
        "file": "a.png",
        "original": "a.jpg",
        "folder": "",
        "state": "done",
        "problem": "",
        "width": "40",
        "height": "30",
        "bytes": str(len(found["a.png"])),
        "credits": "0.000123",
        "verdict": "matched",
        "sha256": hashlib.sha256(found["a.png"]).hexdigest(),
    }


@pytest.mark.both_databases
def test_what_was_made_on_the_way_has_a_size_the_next_time(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    assert download(batch).sized() is None
    content = streamed(batch)
    again = sized(batch)
    assert b"".join(again.stream()) == content
    assert (again.size, sized(batch).etag) == (len(content), again.etag)


def test_the_same_bytes_come_at_any_time_and_in_any_time_zone(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert b"".join(sized(batch).stream()) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        # Sizes and checksums stand before the content, for programs that unpack while it comes.
        assert {info.flag_bits & 8 for info in archive.infolist()} == {0}


def test_any_range_is_what_the_whole_has_there(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    found = sized(batch)
    for first in range(0, len(content), 97):
        for stop in (first + 1, first + 500, len(content)):
            assert b"".join(found.stream(first, stop)) == content[first:stop]


def test_a_later_range_does_not_read_what_comes_before(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    read: list[str] = []
    compare = stored_file._compare

    def noting(row: Rendition, *found: Any) -> None:
        read.append(str(row.file))
        compare(row, *found)

    monkeypatch.setattr(stored_file, "_compare", noting)
    found = sized(batch)
    last = rendition(batch.jobs.get(number=3))
    tail = b"".join(found.stream(content.index(b"c.png")))
    assert (tail, read) == (content[content.index(b"c.png") :], [str(last.file)])


def test_a_large_file_is_read_in_pieces(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    monkeypatch.setattr(stored_file, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(stored_file, "CHUNK_BYTES", 100)
    assert streamed(batch) == content
    assert b"".join(sized(batch).stream(700, 1500)) == content[700:1500]
    damage(rendition(batch.jobs.get(number=2)), b"other")
    assert streamed(batch) == content


def test_only_the_approved_or_the_selected_are_taken(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    first, second, _third = batch.jobs.order_by("number")
    Job.objects.filter(pk=second.pk).update(proof=Job.Proof.APPROVED)
    assert list(unpacked(streamed(batch, only=APPROVED))) == ["b.png", "manifest.csv"]
    assert list(unpacked(streamed(batch, jobs=[first.pk]))) == ["a.png", "manifest.csv"]
    assert list(unpacked(streamed(batch, only=APPROVED, jobs=[first.pk]))) == ["manifest.csv"]
    assert [line["original"] for line in lines(streamed(batch, jobs=[first.pk]))] == ["a.jpg"]


def test_a_picture_is_called_the_same_in_every_download(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg", "a.png"], file_names={"pattern": "{number} {name}"})
    _first, second = batch.jobs.order_by("number")
    assert list(unpacked(streamed(batch))) == ["1 a.png", "2 a.png", "manifest.csv"]
    Batch.objects.update(file_names={"pattern": "{name}"})
    assert list(unpacked(streamed(batch, jobs=[second.pk]))) == ["a (2).png", "manifest.csv"]


def test_a_recipe_has_a_file_for_each_output_and_is_paid_once(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg"], outputs=[WHITE, PNG])
    content = streamed(batch)
    assert list(unpacked(content)) == ["a-White.jpg", "a-Plain.png", "manifest.csv"]
    assert [line["credits"] for line in lines(content)] == ["0.000123", "0"]
    assert b"".join(sized(batch).stream()) == content


def test_what_is_not_done_is_in_the_manifest_alone(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    queued, failed = world.job(batch=batch.pk), world.job(batch=batch.pk)
    Job.objects.filter(pk=queued.pk).update(number=2, name="b.jpg")
    Job.objects.filter(pk=failed.pk).update(number=3, name="c.jpg", state="failed", reason="refused")
    for number, name, problem in ((4, "d.jpg", ""), (5, "e.txt", "unreadable")):
        BatchFile.objects.create(
            batch=batch, number=number, name=name, problem=problem, message=problem and "No."
        )
    content = streamed(batch)
    assert list(unpacked(content)) == ["a.png", "manifest.csv"]
    assert [(line["original"], line["file"], line["state"], line["problem"]) for line in lines(content)] == [
        ("a.jpg", "a.png", "done", ""),
        ("b.jpg", "", "queued", ""),
        ("c.jpg", "", "failed", "The service rejected the picture."),
        ("d.jpg", "", "missing", ""),
        ("e.txt", "", "refused", "No."),
    ]


def test_results_that_come_meanwhile_wait_for_the_next_download(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg", "b.jpg"])
    chunks = download(batch).stream()
    begun = [next(chunks)]
    add(world, server, batch, "c.jpg")
    Job.objects.filter(number=2).update(name="renamed.jpg")
    assert list(unpacked(b"".join([*begun, *chunks]))) == ["a.png", "b.png", "manifest.csv"]


@pytest.mark.parametrize("how", ["gone", "short", "flipped"])
def test_a_damaged_rendition_is_made_anew(world: World, server: Server, how: str) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    row = rendition(batch.jobs.get(number=2))
    found = sized(batch)
    damage(row, {"gone": None, "short": b"\x89PNG", "flipped": flipped(row)}[how])
    assert b"".join(found.stream()) == content  # although it began before
    damage(rendition(batch.jobs.get(number=2)), b"again")
    assert streamed(batch) == content
    assert b"".join(sized(batch).stream()) == content
    stored = {path.name for path in Path(default_storage.path("")).rglob("rendition-*")}
    assert len(stored) == 1  # of one style, each in its own folder


def test_a_picture_whose_master_is_damaged_too_is_left_out(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    streamed(batch)
    job = batch.jobs.get(number=2)
    damage(rendition(job), b"other")
    Path(job.result.path).write_bytes(b"other")
    content = streamed(batch)
    assert list(unpacked(content)) == ["a.png", "c.png", "manifest.csv"]
    line = lines(content)[1]
    assert (line["original"], line["file"], line["credits"]) == ("b.jpg", "", "0.000123")
    assert "damaged" in line["problem"]
    # The next one knows, and so can be continued.
    assert b"".join(sized(batch).stream()) == content


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_rendition_that_cannot_be_read_is_made_anew(world: World, server: Server, is_empty: bool) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    found, path = sized(batch), Path(rendition(batch.jobs.get(number=2)).file.path)
    unreadable(path)
    if not is_empty:
        (path / "x").touch()  # so that it can't be deleted either
    assert b"".join(found.stream()) == content  # although it began before
    assert b"".join(sized(batch).stream()) == content
    assert path.is_dir() != is_empty


@pytest.mark.parametrize("size", [0, 4 << 20])
def test_a_file_of_a_disk_that_fails_is_damaged(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    streamed(batch)
    monkeypatch.setattr(stored_file, "AT_ONCE_BYTES", size)
    monkeypatch.setattr(
        File, "read", Mock(side_effect=OSError(errno.EIO, "Input/output error")), raising=False
    )
    with pytest.raises(stored_file.DamagedError, match="Input/output error"):
        stored_file.checked(rendition(batch.jobs.get()))


def test_a_picture_whose_master_cannot_be_read_is_left_out(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    job = batch.jobs.get(number=2)
    unreadable(Path(job.result.path))
    content = streamed(batch)
    assert list(unpacked(content)) == ["a.png", "c.png", "manifest.csv"]
    assert "damaged" in lines(content)[1]["problem"]
    assert b"".join(sized(batch).stream()) == content


def test_a_storage_that_is_away_damages_nothing(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    render.make(batch.jobs.get(number=1), PLAIN)
    monkeypatch.setattr(FileSystemStorage, "_open", Mock(side_effect=files.StorageUnavailableError("away")))
    with pytest.raises(files.StorageUnavailableError):
        streamed(batch)
    assert [row.state for row in Rendition.objects.all()] == ["made"]
    Rendition.objects.all().delete()
    with pytest.raises(files.StorageUnavailableError):
        streamed(batch)
    assert not Rendition.objects.exists()


def test_a_picture_that_failed_a_while_ago_is_tried_again(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    job = batch.jobs.get()
    Path(job.result.path).rename(aside := Path(f"{job.result.path}.aside"))
    assert list(unpacked(streamed(batch))) == ["manifest.csv"]
    aside.rename(job.result.path)
    Rendition.objects.update(updated_at="2026-01-01T00:00:00Z")
    assert list(unpacked(streamed(batch))) == ["a.png", "manifest.csv"]


def test_a_download_breaks_off_rather_than_be_torn(world: World, server: Server) -> None:
    batch = batch_of(world, server, THREE)
    content = streamed(batch)
    found, job = sized(batch), batch.jobs.get(number=2)
    Path(job.result.path).write_bytes(b"other")
    damage(rendition(job), flipped(rendition(job)))
    sent = []
    with pytest.raises(ChangedError):
        sent.extend(found.stream())
    assert content.startswith(b"".join(sent))
    assert sized(batch).etag != found.etag  # so that no browser puts the two together


def test_control_without_the_check_a_torn_file_goes_in(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    streamed(batch)
    row = rendition(batch.jobs.get(number=2))
    damage(row, flipped(row))
    monkeypatch.setattr(stored_file, "_compare", lambda *_: None)
    with zipfile.ZipFile(io.BytesIO(b"".join(sized(batch).stream()))) as archive:
        assert archive.testzip() == "b.png"


def test_a_file_that_changes_between_its_check_and_its_sending_ends_the_download(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    streamed(batch)
    row = rendition(batch.jobs.get())
    monkeypatch.setattr(stored_file, "AT_ONCE_BYTES", 0)
    chunks = stored_file.checked(row)
    damage(row, flipped(row))
    with pytest.raises(stored_file.DamagedError):
        list(chunks)


def test_without_space_to_fetch_a_file_the_rest_goes_on(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket's file is fetched to a disk before it is read."""
    batch = batch_of(world, server, ["a.jpg", "b.jpg"])
    streamed(batch)
    checked = stored_file.checked

    def full_at_first(row: Rendition) -> Any:
        monkeypatch.setattr(stored_file, "checked", checked)
        full()

    monkeypatch.setattr(stored_file, "checked", full_at_first)
    content = streamed(batch)
    assert list(unpacked(content)) == ["b.png", "manifest.csv"]
    assert "disk is full" in lines(content)[0]["problem"]


def test_on_a_full_disk_the_rest_goes_on(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, THREE)
    render.make(batch.jobs.get(number=1), PLAIN)
    with monkeypatch.context() as patch:
        patch.setattr(files, "put", full)
        content = streamed(batch)
    assert list(unpacked(content)) == ["a.png", "manifest.csv"]
    assert ["disk is full" in line["problem"] for line in lines(content)] == [False, True, True]
    assert list(unpacked(streamed(batch))) == ["a.png", "b.png", "c.png", "manifest.csv"]


def test_while_too_much_is_read_it_waits_and_then_says_so(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    monkeypatch.setattr(packing, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(DECODING, "_wait", 0.01)
    monkeypatch.setattr(DECODING, "_total", 0)
    assert "Too many" in lines(streamed(batch))[0]["problem"]


def test_a_style_that_cannot_be_read_is_said_for_each_picture(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg"], outputs=[{"name": "Odd", "style": {"odd": 1}}, PNG])
    content = streamed(batch)
    assert list(unpacked(content)) == ["a-Plain.png", "manifest.csv"]
    assert "odd" in lines(content)[0]["problem"]


def test_a_style_that_is_too_long_for_a_jpeg_leaves_its_pictures_out(world: World, server: Server) -> None:
    long = {"name": "Long", "style": {"margin": "0 32735px", "format": "jpeg"}}
    batch = batch_of(world, server, ["a.jpg"], outputs=[long, PNG])
    content = streamed(batch)
    assert list(unpacked(content)) == ["a-Plain.png", "manifest.csv"]
    assert "too large" in lines(content)[0]["problem"]
    assert b"".join(sized(batch).stream()) == content


def test_an_empty_batch_is_a_zip_too(world: World) -> None:
    assert list(unpacked(b"".join(sized(new_batch(world)).stream()))) == ["manifest.csv"]


def test_formulas_are_neutral_in_the_manifest(world: World, server: Server) -> None:
    hostile = ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", " =1.jpg", '"=1.jpg', "a,b.jpg"]
    batch = batch_of(world, server, hostile)
    Job.objects.filter(number=7).update(folder="=cmd|' /C calc'!A0", name="\t=1.jpg")
    content = streamed(batch)
    cells = [cell for line in lines(content) for cell in line.values()]
    assert not [cell for cell in cells if cell.strip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [line["original"] for line in lines(content)][:5] == [
        "'=1+1.jpg",
        "'+1.jpg",
        "'-1.jpg",
        "'@SUM(A1).jpg",
        "' =1.jpg",
    ]
    assert unpacked(content)["manifest.csv"].startswith(b"\xef\xbb\xbf")


def test_the_manifest_is_the_same_in_every_language(world: World, server: Server) -> None:
    batch = batch_of(world, server, ["a.jpg"])
    content = streamed(batch)
    with translation.override("fr"):
        assert streamed(batch) == content
