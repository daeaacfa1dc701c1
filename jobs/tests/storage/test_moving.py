"""All files are copied to a bucket and back, whatever interrupts it, and no original goes before its copy."""

import errno
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from chaos.process import fork
from chaos.waiting import wait_for
from conftest import World
from jobs.models import Instance, Job
from jobs.storage import instance
from jobs.storage.moving import Move
from jobs.storage.s3 import S3Storage, StoredObject
from jobs.tests.retention.erased import cut_out, erased, purge_now
from jobs.tests.storage import buckets
from jobs.tests.upstream import Server
from tests.site.s3 import Swift

FILES = {
    ".quarantine/2026-01-01T00-00-00Z-abcd/aurora/1/result-1.png": b"astray",
    "aurora/1.png": b"dot",
    "aurora/1/source.png": b"source",
    "éclair/2/result-1.png": b"result",
}


@pytest.fixture(scope="module")
def swift() -> Iterator[Swift]:
    with buckets.serving() as server:
        yield server


@pytest.fixture
def bucket(settings: Settings, swift: Swift, db: None) -> S3Storage:
    """An empty bucket beside the folder, which the site still uses and which has the files."""
    bucket = buckets.use_new_bucket(settings, swift)
    settings.STORAGES = settings.STORAGES | {"default": settings.STORAGES["files"]}
    for name, content in FILES.items():
        default_storage.save(name, ContentFile(content))
    Instance.objects.create()
    instance.adopt()
    return bucket


def move(*args: str) -> str:
    said = StringIO()
    call_command("move_files", *args, stdout=said)
    return said.getvalue()


def in_bucket(bucket: S3Storage) -> dict[str, bytes]:
    contents = {}
    for row in bucket.objects():
        if row.name != ".instance":
            with bucket.open(row.name) as file:
                contents[row.name] = file.read()
    return contents


def in_folder() -> dict[str, bytes]:
    return {
        name: (Path(default_storage.path(name)).read_bytes())
        for name in FILES
        if default_storage.exists(name)
    }


def test_everything_is_there_and_back_again(bucket: S3Storage, settings: Settings) -> None:
    Path(settings.FILE_UPLOAD_TEMP_DIR, "result-x-1.9.a").write_bytes(b"on its way")
    assert "Copied: 4 files" in move("--to", "s3")
    assert (in_bucket(bucket), in_folder()) == (FILES, FILES)
    assert "Copied: 0 files, 0\xa0bytes. There already: 5." in move("--to", "s3")

    assert "Deleted originals: 4." in move("--to", "s3", "--delete-originals")
    assert (in_bucket(bucket), in_folder()) == (FILES, {})
    assert not Path(settings.MEDIA_ROOT, "aurora/1").exists()
    assert "Copied: 4 files" in move("--to", "files")
    assert "Deleted originals: 4." in move("--to", "files", "--delete-originals")
    assert (in_bucket(bucket), in_folder()) == ({}, FILES)


def test_a_file_that_was_changed_after_its_copy_is_copied_again(bucket: S3Storage) -> None:
    move("--to", "s3")
    Path(default_storage.path("aurora/1.png")).write_bytes(b"DOT")
    assert "Copied: 1 files" in move("--to", "s3")
    assert in_bucket(bucket)["aurora/1.png"] == b"DOT"


def test_an_original_with_a_wrong_copy_is_kept(bucket: S3Storage, settings: Settings) -> None:
    move("--to", "s3")
    bucket.save("aurora/1.png", ContentFile(b"DOT"))  # later than the original, so it passes for a copy
    os.utime(default_storage.path("aurora/1.png"), (1, 1))
    with pytest.raises(CommandError, match=r"The copy of aurora/1\.png is missing or differs"):
        move("--to", "s3", "--delete-originals")
    assert in_folder()["aurora/1.png"] == b"dot"


def test_an_original_whose_picture_was_deleted_from_the_bucket_goes_and_is_not_copied_again(
    bucket: S3Storage,
) -> None:
    """The site uses the copies by then, and has deleted one for good."""
    move("--to", "s3")
    bucket.delete("aurora/1/source.png")
    os.utime(default_storage.path("aurora/1/source.png"), (1, 1))
    assert "Deleted originals: 4." in move("--to", "s3", "--delete-originals")
    assert (len(in_bucket(bucket)), in_folder()) == (3, {})


def test_an_original_that_was_never_copied_is_kept(bucket: S3Storage, world: World) -> None:
    move("--to", "s3")
    source = str(world.job().source.name)
    with pytest.raises(CommandError, match=f"The copy of {source} is missing"):
        move("--to", "s3", "--delete-originals")
    assert default_storage.exists(source)


def test_a_download_that_is_not_the_original_is_not_put_in_place(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    move("--to", "s3")
    move("--to", "s3", "--delete-originals")
    fetch = bucket.fetch

    def fetch_wrongly(_bucket: S3Storage, name: str) -> Any:
        fetched = fetch(name)
        if name == "aurora/1.png":
            fetched.seek(0)
            fetched.write(b"rot")
        return fetched

    monkeypatch.setattr(S3Storage, "fetch", fetch_wrongly)
    with pytest.raises(CommandError, match=r"aurora/1\.png"):
        move("--to", "files")
    assert "aurora/1.png" not in in_folder()


def test_anothers_files_are_neither_copied_nor_joined(bucket: S3Storage) -> None:
    bucket.save("theirs.png", ContentFile(b"theirs"))
    with pytest.raises(CommandError, match="in the other storage don't belong"):
        move("--to", "s3")
    bucket.delete("theirs.png")
    Path(default_storage.path(".instance")).write_text("0" * 32)
    with pytest.raises(CommandError, match="files to copy don't belong"):
        move("--to", "s3")
    assert in_bucket(bucket) == {}


@pytest.mark.parametrize("to", ["s3", "files"])
@pytest.mark.parametrize("options", [(), ("--delete-originals",)])
def test_a_picture_that_is_deleted_after_its_copy_is_deleted_there_too(
    bucket: S3Storage, world: World, server: Server, settings: Settings, to: str, options: tuple[str, ...]
) -> None:
    """With what lies of it in quarantine. Whatever else only the other storage has stays, and is named."""
    job, lost = cut_out(world, server), world.job()
    folder = str(job.source.name).rpartition("/")[0]
    aside = f".quarantine/2026-01-01T00-00-00Z-abcd/{folder}/result-1.png"
    default_storage.save(aside, ContentFile(b"astray"))
    if to == "files":
        move("--to", "s3")
        move("--to", "s3", "--delete-originals")
        settings.STORAGES = settings.STORAGES | {"default": settings.STORAGES["s3"]}
    move("--to", to)
    target = storages["s3" if to == "s3" else "files"]
    assert all(target.exists(name) for name in (aside, str(job.source.name)))

    assert (erased(world, job), purge_now()) == (1, 1)
    others = sorted(["aurora/1.png", str(lost.source.name)])
    for name in others:
        default_storage.delete(name)
    said = move("--to", to, *options)
    assert "Deleted there, as their pictures were deleted: 5." in said
    assert f"Only there, and left alone: 2, such as {', '.join(others)}." in said
    assert not any(target.exists(name) for name in (aside, str(job.source.name)))
    assert all(target.exists(name) for name in others)


def test_a_folder_that_others_share_is_no_pictures_own(
    bucket: S3Storage, world: World, server: Server
) -> None:
    job = cut_out(world, server)
    Job.objects.filter(pk=job.pk).update(source="aurora/old.png")
    move("--to", "s3")
    assert (erased(world, job), purge_now()) == (1, 1)
    default_storage.delete("aurora/1.png")
    assert "such as aurora/1.png" in move("--to", "s3")
    assert bucket.exists("aurora/1.png")


def test_a_copy_that_is_deleted_while_it_is_compared_is_left_to_the_next_run(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    move("--to", "s3")
    move("--to", "s3", "--delete-originals")
    move("--to", "files")
    is_same = Move._is_same

    def is_same_a_moment_later(self: Move, original: StoredObject, copy: StoredObject) -> bool:
        if copy.name == "aurora/1.png":
            self.folder.delete(copy.name)
        return is_same(self, original, copy)

    monkeypatch.setattr(Move, "_is_same", is_same_a_moment_later)
    assert "Deleted originals: 3." in move("--to", "files", "--delete-originals")
    assert list(in_bucket(bucket)) == ["aurora/1.png"]


def test_a_full_disk_is_an_error_in_a_line_and_is_not_filled_further(
    bucket: S3Storage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    move("--to", "s3")
    move("--to", "s3", "--delete-originals")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(CommandError, match="The disk is full"):
        move("--to", "files")
    assert list(Path(settings.FILE_UPLOAD_TEMP_DIR).glob("copy.*")) == []
    assert (len(in_bucket(bucket)), in_folder()) == (4, {})


def test_a_bucket_that_does_not_answer_is_an_error_in_a_line(
    bucket: S3Storage, settings: Settings, swift: Swift
) -> None:
    wrong = buckets.options_of(swift, bucket.bucket_name) | {"secret_key": "guessed"}
    here = {"BACKEND": "jobs.storage.s3.S3Storage", "OPTIONS": wrong}
    settings.STORAGES = settings.STORAGES | {"s3": here}
    with pytest.raises(CommandError, match="SignatureDoesNotMatch"):
        move("--to", "s3")


def test_without_a_bucket_it_says_what_is_missing(settings: Settings) -> None:
    settings.S3_BUCKET = ""
    with pytest.raises(CommandError, match="S3_BUCKET isn't set"):
        move("--to", "s3")


def test_a_killed_run_is_gone_on_with(transactional_db: None, bucket: S3Storage, tmp_path: Path) -> None:
    contents = FILES | {f"aurora/{number}/result-1.png": b"%d" % number for number in range(100)}
    for name, content in contents.items():
        if name not in FILES:
            default_storage.save(name, ContentFile(content))
    folder = storages["files"]
    assert isinstance(folder, FileSystemStorage)
    connections.close_all()  # a connection isn't shared by two processes
    run = fork(lambda: Move(folder, bucket, to_bucket=True, threads=2).copy(print), tmp_path / "log")
    wait_for(lambda: run.code is not None or len(list(bucket.objects())) > 10, 60, "the first copies")
    run.kill()
    copied = len(list(bucket.objects())) - 1
    assert 10 <= copied < len(contents)
    assert f"Copied: {len(contents) - copied} files" in move("--to", "s3")
    assert f"Deleted originals: {len(contents)}." in move("--to", "s3", "--delete-originals")
    assert in_bucket(bucket) == contents
