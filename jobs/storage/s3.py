"""Keep files in an S3 bucket with the promises and the errors of a folder.

A file is stored by one request that carries its MD5: the bucket has all of it, or none. Whatever keeps the
bucket from answering is a StorageUnavailableError, and never looks like a missing file.
"""

import base64
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import File
from storages.backends import s3
from storages.utils import clean_name

from jobs.storage.files import CHUNK_BYTES, StorageUnavailableError

CONNECT_SECONDS, READ_SECONDS = 3, 30
TRIES = 3
CONNECTIONS = 64
"""At once from one process; as many as its threads may need."""

IN_MEMORY_BYTES = 1 << 20
NOT_FOUND = 404
NO_FILE, NO_BUCKET = "NoSuchKey", "NoSuchBucket"

_making = threading.Lock()


@cache
def _session() -> Any:
    """Return what all connections are made of; reading S3's description takes half a second."""
    return boto3.Session()


class StoredObject(NamedTuple):
    """A file in the bucket. etag: the MD5 of the content, unless another program has stored it in parts."""

    name: str
    size: int
    etag: str
    modified: datetime


class FetchedFile(File):  # type: ignore[type-arg]
    """A file of the bucket, fetched when it is opened, so that its reader never waits or fails half-way."""

    def __init__(self, storage: "S3Storage", name: str) -> None:
        self._storage = storage
        super().__init__(None, name)
        self.open()

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> Self:  # noqa: ARG002 - it is only read
        if self.closed:
            self.file = self._storage.fetch(str(self.name))
            self.size = self.tell()
        self.seek(0)
        return self


class S3Storage(s3.S3Storage):  # type: ignore[misc]
    """A private bucket.

    checksums: *when_supported* lets boto3 add checksums to the MD5, which not every server understands.
    """

    def __init__(self, *, checksums: str = "when_required", **options: Any) -> None:
        config = Config(
            signature_version="s3v4",  # boto3 would sign some links the old way
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=CONNECTIONS,
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
        )
        super().__init__(client_config=config, **options)
        self._by_process: dict[int, Any] = {}

    @property
    def connection(self) -> Any:
        """Return one connection for all threads, since making one takes as long as several requests."""
        process = os.getpid()  # two processes can't share sockets, so a forked one makes its own
        with _making:
            if process not in self._by_process:
                self._by_process = {process: self._connect()}
            return self._by_process[process]

    def _connect(self) -> Any:
        return _session().resource(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=self.client_config,
        )

    @property
    def client(self) -> Any:
        return self.connection.meta.client

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield all files with this beginning in the order of their names, a thousand for each request."""
        pages = self.client.get_paginator("list_objects_v2")
        start = f"{self.location}/" if self.location else ""
        with self._as_folder(prefix):
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=start + prefix):
                for row in page.get("Contents", ()):
                    name = row["Key"].removeprefix(start)
                    if not name or name.endswith("/"):  # a console's empty folder
                        continue
                    yield StoredObject(name, row["Size"], row["ETag"].strip('"'), row["LastModified"])

    def link(self, name: str, parameters: dict[str, str]) -> str:
        """Return an address by which anybody may read the file until ``querystring_expire`` is over."""
        return str(self.url(name, parameters=parameters))

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def get_modified_time(self, name: str) -> datetime:
        modified: datetime = self._head(name)["LastModified"]
        return modified

    def delete(self, name: str) -> None:
        with self._as_folder(name):
            self.client.delete_object(Bucket=self.bucket_name, Key=self._key(name))

    def move(self, name: str, target: str) -> None:
        """Rename a file; raise FileNotFoundError, and FileExistsError if another one has the name.

        It is copied within the bucket and then deleted. After a crash in between it has both names, and the
        next move goes on from there.
        """
        original = self._head(name)["ETag"]
        try:
            copy = self._head(target)["ETag"]
        except FileNotFoundError:
            source = {"Bucket": self.bucket_name, "Key": self._key(name)}
            with self._as_folder(name):
                self.client.copy_object(Bucket=self.bucket_name, Key=self._key(target), CopySource=source)
        else:
            if copy != original:
                raise FileExistsError(target)
        self.delete(name)

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        with self._as_folder(name):
            folders, files = super().listdir(name)
            return list(folders), list(files)

    def fetch(self, name: str) -> "tempfile.SpooledTemporaryFile[bytes]":
        """Return a copy of all of a file; raise FileNotFoundError if it is missing."""
        # Not in memory: a picture may have hundreds of megabytes.
        place = str(settings.FILE_UPLOAD_TEMP_DIR)
        fetched = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=place)  # noqa: SIM115 - the caller closes it
        try:
            with self._as_folder(name):
                answer = self.client.get_object(Bucket=self.bucket_name, Key=self._key(name))
                shutil.copyfileobj(answer["Body"], fetched, CHUNK_BYTES)
        except BaseException:
            fetched.close()
            raise
        return fetched

    def read_chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's content while it arrives; raise FileNotFoundError if it is missing."""
        with self._as_folder(name):
            answer = self.client.get_object(Bucket=self.bucket_name, Key=self._key(name))
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK_BYTES)

    def _open(self, name: str, _mode: str = "rb") -> "FetchedFile":
        return FetchedFile(self, name)

    def _save(self, name: str, content: "File[bytes]") -> str:
        content.seek(0)
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in content.chunks(CHUNK_BYTES):
            digest.update(chunk)
        content.seek(0)
        kind = self._get_write_parameters(name)["ContentType"]
        with self._as_folder(name):
            self.client.put_object(
                Bucket=self.bucket_name,
                Key=self._key(name),
                Body=content,
                ContentType=kind,
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
        return str(clean_name(name))

    def _head(self, name: str) -> Any:
        with self._as_folder(name):
            return self.client.head_object(Bucket=self.bucket_name, Key=self._key(name))

    def _key(self, name: str) -> str:
        return str(self._normalize_name(clean_name(name)))

    @contextmanager
    def _as_folder(self, name: str) -> Iterator[None]:
        """Raise what a folder would: FileNotFoundError, or StorageUnavailableError for all else."""
        try:
            yield
        except ClientError as error:
            if self._means_missing(error):
                raise FileNotFoundError(f"{name} isn't in the bucket {self.bucket_name}") from error
            raise self._unavailable(error) from error
        except BotoCoreError as error:
            raise self._unavailable(error) from error

    def _means_missing(self, error: ClientError) -> bool:
        """Tell a missing file from a missing bucket, which S3 answers alike if there is no body."""
        code = error.response["Error"].get("Code")
        if code in (NO_FILE, NO_BUCKET):
            return bool(code == NO_FILE)
        if error.response["ResponseMetadata"].get("HTTPStatusCode") != NOT_FOUND:
            return False
        try:
            self.client.head_bucket(Bucket=self.bucket_name)
        except (ClientError, BotoCoreError):
            return False
        return True

    def _unavailable(self, error: Exception) -> StorageUnavailableError:
        return StorageUnavailableError(f"The bucket {self.bucket_name} can't be used: {error}")
