"""``CACHE_URL=redis://…``: several web processes count wrong passwords together."""

from collections.abc import Iterator

import environ
import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from redis import Redis as Connection

from experiments.servers import NotStartedError, redis


@pytest.fixture
def shared(settings: Settings) -> Iterator[Connection]:
    """A Redis of this test's own, as the cache."""
    try:
        with redis() as server, Connection.from_url(server.url) as connection:
            settings.CACHES = {"default": environ.Env.cache_url_config(server.url)}
            yield connection
            cache.close()
    except NotStartedError as error:
        pytest.skip(f"LEFT OUT: {error}")


def test_wrong_passwords_are_counted_there(db: None, client: Client, shared: Connection) -> None:
    answers = {"login": "somebody@example.org", "password": "guess"}
    seen = [client.post(reverse("account_login"), answers).status_code for _ in range(11)]
    assert seen == [200] * 10 + [429]
    assert [key for key in shared.scan_iter() if b":password:" in key]


def test_by_default_one_process_counts_for_itself(settings: Settings) -> None:
    assert settings.CACHES["default"]["BACKEND"] == "django.core.cache.backends.locmem.LocMemCache"
