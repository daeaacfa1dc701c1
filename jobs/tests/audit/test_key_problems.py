"""A key's owner sees beside it what went wrong with its newest calls, and which parameters were ignored."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.api_keys import keys
from accounts.models import ApiKey
from conftest import World
from jobs.audit import key_problems
from jobs.models import Attempt, Job

pytestmark = pytest.mark.both_databases


@pytest.fixture
def key(world: World) -> ApiKey:
    made = keys.create(world.team, world.alice, "shop")[0]
    ApiKey.objects.filter(pk=made.pk).update(last_used_at=timezone.now())
    return made


def called(world: World, key: ApiKey, ignored: tuple[str, ...] = (), code: int | None = None) -> None:
    job = world.job()
    state = "failed" if code else "queued"
    Job.objects.filter(pk=job.pk).update(api_key=key, ignored=list(ignored), state=state)
    if code:
        Attempt.objects.filter(job=job).update(status=400, error_code=code, error_message=f"Error {code}")


def test_errors_and_ignored_names_are_counted(world: World, key: ApiKey) -> None:
    called(world, key, ("size", "wibble"))
    called(world, key, ("size",), 1006)
    called(world, key, (), 1006)
    called(world, key, (), 1019)
    found = key_problems.of_key(key)
    assert found.calls == 4
    assert [(error.code, error.count, error.message) for error in found.errors] == [
        (1006, 2, "Error 1006"),
        (1019, 1, "Error 1019"),
    ]
    assert found.ignored == [("size", 2), ("wibble", 1)]


def test_they_are_on_the_pages_of_the_keys_owner(world: World, key: ApiKey, client: Client) -> None:
    called(world, key, ("<wibble>",), 1006)
    client.force_login(world.alice)
    for page in ("/t/aurora/keys/", "/t/aurora/api/"):
        text = client.get(page).content.decode()
        assert "Error 1006" in text
        assert "&lt;wibble&gt;" in text
    client.force_login(world.bob)
    assert "Error 1006" not in client.get("/t/aurora/keys/").content.decode()


def test_a_key_without_problems_says_nothing(world: World, key: ApiKey, client: Client) -> None:
    called(world, key)
    client.force_login(world.alice)
    assert "key-problems" not in client.get("/t/aurora/keys/").content.decode()


def test_only_the_newest_calls_count(world: World, key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_problems, "NEWEST", 1)
    called(world, key, ("old",), 1006)
    called(world, key, ("new",))
    assert key_problems.of_key(key) == key_problems.KeyProblems(1, [], [("new", 1)])
