"""A real S3 server for a test file, and a bucket of its own for each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from pytest_django import Settings

from jobs.storage.s3 import S3Storage
from tests.site.s3 import Swift, swift, swift_lacks


@contextmanager
def serving() -> Iterator[Swift]:
    """Run Swift, or skip the test and say what it lacks."""
    if lacks := swift_lacks():
        pytest.skip(f"LEFT OUT: the tests with S3. {lacks}")
    with swift() as server:
        yield server


def options_of(server: Swift, bucket: str) -> dict[str, Any]:
    return {
        "bucket_name": bucket,
        "location": "pictures/shop",
        "endpoint_url": server.url,
        "region_name": "us-east-1",
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "querystring_expire": 60,
    }


def environment_of(server: Swift, bucket: str) -> dict[str, str]:
    """Return the settings of an instance that keeps its pictures in the bucket."""
    return {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": server.url,
        "S3_ACCESS_KEY": server.access_key,
        "S3_SECRET_KEY": server.secret_key,
    }


def use(settings: Settings, options: dict[str, Any]) -> None:
    """Let the site keep its files in this bucket from now on."""
    here = {"BACKEND": "jobs.storage.s3.S3Storage", "OPTIONS": options}
    settings.S3_BUCKET = options["bucket_name"]
    settings.STORAGES = settings.STORAGES | {"s3": here, "default": here}


def use_new_bucket(settings: Settings, server: Swift) -> S3Storage:
    """Create an empty bucket for the site, and return its storage."""
    options = options_of(server, f"pictures-{uuid4().hex[:12]}")
    use(settings, options)
    storage = storages["default"]
    assert isinstance(storage, S3Storage)
    storage.client.create_bucket(Bucket=options["bucket_name"])
    return storage
