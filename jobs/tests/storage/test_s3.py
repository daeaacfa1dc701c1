"""Files in a bucket of a real S3 server: the promises of a folder, and what is said if they can't be kept."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import botocore.auth
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from pytest_django import Settings

from jobs.storage import files, s3
from jobs.storage.files import StorageUnavailableError
from jobs.storage.s3 import S3Storage
from jobs.tests.storage import buckets
from tests.site.s3 import Swift


@pytest.fixture(scope="module")
def swift() -> Iterator[Swift]:
    with buckets.serving() as server:
        yield server


@pytest.fixture
def bucket(settings: Settings, swift: Swift) -> S3Storage:
    return buckets.use_new_bucket(settings, swift)


def test_a_file_is_stored_read_listed_and_deleted(bucket: S3Storage) -> None:
    assert default_storage.save("aurora/1/source.png", ContentFile(b"picture")) == "aurora/1/source.png"
    with default_storage.open("aurora/1/source.png") as file:
        assert (file.read(), file.size) == (b"picture", 7)
    assert default_storage.size("aurora/1/source.png") == 7
    assert default_storage.listdir("aurora/1") == ([], ["source.png"])
    bucket.client.put_object(Bucket=bucket.bucket_name, Key="pictures/shop/made by hand/")
    assert [row.name for row in bucket.objects()] == ["aurora/1/source.png"]
    with file.open():  # anew, as a row's file is
        assert file.read() == b"picture"
    default_storage.delete("aurora/1/source.png")
    assert not default_storage.exists("aurora/1/source.png")
    default_storage.delete("aurora/1/source.png")  # again does no harm
    with pytest.raises(FileNotFoundError):
        default_storage.open("aurora/1/source.png")


def test_a_file_is_read_while_it_arrives_and_no_further_than_it_is_wanted(bucket: S3Storage) -> None:
    content, name = bytes(range(256)) * 4096 * 3, "aurora/1/result-1.png"
    default_storage.save(name, ContentFile(content))
    assert files.sha256_of(files.stored_chunks(name)) == hashlib.sha256(content).hexdigest()
    chunks = files.stored_chunks(name)
    assert next(chunks) == content[: files.CHUNK_BYTES]
    chunks.close()  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError):
        next(files.stored_chunks("aurora/1/none.png"))


def test_bytes_that_change_on_their_way_are_not_stored(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(s3, "hashlib", SimpleNamespace(md5=lambda **_: hashlib.md5(b"other")))
        with pytest.raises(StorageUnavailableError, match="BadDigest"):
            default_storage.save("aurora/1/source.png", ContentFile(b"picture"))
    assert list(bucket.objects()) == []


def test_a_clock_that_is_hours_late_is_told_from_a_missing_file(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = timezone.now() - timedelta(hours=2)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: late)
    with pytest.raises(StorageUnavailableError, match="RequestTimeTooSkewed"):
        default_storage.open("none.png")


@pytest.mark.parametrize(
    "wrong", [{"secret_key": "guessed"}, {"bucket_name": "nobodys"}, {"access_key": "x:y"}]
)
def test_what_keeps_the_bucket_from_answering_never_looks_like_a_missing_file(
    bucket: S3Storage, swift: Swift, settings: Settings, wrong: dict[str, str]
) -> None:
    buckets.use(settings, buckets.options_of(swift, bucket.bucket_name) | wrong)
    for ask in (
        lambda: default_storage.open("none.png"),
        lambda: default_storage.exists("none.png"),
        lambda: default_storage.size("none.png"),
        lambda: default_storage.get_modified_time("none.png"),
        lambda: default_storage.delete("none.png"),
        lambda: default_storage.listdir("aurora"),
        lambda: default_storage.save("none.png", ContentFile(b"picture")),
    ):
        with pytest.raises(StorageUnavailableError):
            ask()
