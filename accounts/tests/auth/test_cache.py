"""Wrong passwords are counted in the database: by all processes together, and beyond a restart."""

import pytest
from django.core.cache import cache, caches
from django.test import Client
from django.urls import reverse

from accounts.models import CacheEntry

pytestmark = pytest.mark.both_databases


def guesses(client: Client, number: int, name: str = "somebody@example.org") -> list[int]:
    """Return the responses to this many wrong passwords."""
    answers = {"login": name, "password": "guess"}
    return [client.post(reverse("account_login"), answers).status_code for _ in range(number)]


def test_guesses_are_counted_by_whichever_process(db: None, client: Client) -> None:
    assert guesses(client, 6) == [200] * 6
    del caches["default"]  # as in a process that has just started
    assert guesses(client, 5) == [200] * 4 + [429]
    assert CacheEntry.objects.exists()


def test_many_names_push_no_count_out(db: None) -> None:
    """Above its limit a cache evicts its oldest entries."""
    cache.set("first", 1)
    for number in range(400):
        cache.set(f"name-{number}", 1)
    assert cache.get("first") == 1
