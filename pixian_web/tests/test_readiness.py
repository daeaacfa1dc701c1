"""What a probe is told, in two seconds whatever hangs."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from pytest_django import Settings

from conftest import World
from jobs.queue import workers
from jobs.storage import instance
from pixian_web import readiness
from pixian_web.health import components, work

pytestmark = pytest.mark.both_databases

WITHIN_SECONDS = 2
REFUSED = "connection refused by db.internal"
SILENT_BROKER = "redis://user:hunter2@192.0.2.1:6379/0"


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_probes", {})
    monkeypatch.setattr(readiness, "_told", {})
    monkeypatch.setattr(work, "LOW_DISK_BYTES", 0)


@pytest.fixture
def going_on() -> Iterator[Event]:
    """Return an event that, once set, lets the hanging part go on."""
    event = Event()
    yield event
    event.set()


@pytest.fixture
def ready(committed_world: World) -> World:
    """An instance with all that it needs."""
    instance.establish()
    workers.register("host:1", 4)
    return committed_world


def timed(client: Client) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    response = client.get("/readyz")
    return response.status_code, json.loads(response.content), time.monotonic() - began


def away(*_: object) -> Any:
    raise OperationalError(REFUSED)


def hanging(event: Event) -> Callable[..., Any]:
    def hang(*_: object) -> Any:
        event.wait(30)
        raise OperationalError(REFUSED)

    return hang


def test_a_whole_instance_is_ready(client: Client, ready: World) -> None:
    status, told, _ = timed(client)
    parts = {"database": True, "storage": True, "workers": True, "disk": True}
    assert (status, told) == (200, {"ready": True, "parts": parts})


def test_an_instance_without_a_worker_is_not_ready(client: Client, ready: World) -> None:
    workers.unregister("host:1")
    status, told, _ = timed(client)
    assert status == 503
    assert [name for name, fine in told["parts"].items() if not fine] == ["workers"]


def test_a_storage_that_takes_no_file_is_not_ready(
    client: Client, ready: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system: '/srv/pixian'")

    monkeypatch.setattr("pixian_web.health.work.tempfile.TemporaryFile", refuse)
    status, told, _ = timed(client)
    assert (status, told["parts"]["storage"]) == (503, False)
    assert "/srv" not in json.dumps(told)


@pytest.mark.parametrize("error", [OperationalError(REFUSED), DatabaseError(REFUSED)])
def test_a_stranger_does_not_learn_why_and_the_log_does_once(
    client: Client,
    ready: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(components, "database", fail)
    for _ in range(2):
        response = client.get("/readyz")
        assert response.status_code == 503
        assert b"internal" not in response.content
    assert caplog.text.count("a part isn't fine") == 1


def test_a_broker_that_never_answers_holds_nothing_up(
    client: Client, ready: World, settings: Settings, monkeypatch: pytest.MonkeyPatch, going_on: Event
) -> None:
    settings.CELERY_BROKER_URL = SILENT_BROKER
    monkeypatch.setattr(components, "broker", hanging(going_on))
    status, told, seconds = timed(client)
    assert (status, told["parts"].pop("broker")) == (503, False)
    assert all(told["parts"].values())
    assert seconds < WITHIN_SECONDS


def test_a_probe_is_answered_while_the_database_hangs(
    client: Client, committed_world: World, monkeypatch: pytest.MonkeyPatch, going_on: Event
) -> None:
    """With the cookie of somebody who is logged in, too; and the next ones don't wait at all."""
    client.force_login(committed_world.bob)
    with monkeypatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", hanging(going_on))
        status, told, seconds = timed(client)
        assert (status, told["parts"]["database"]) == (503, False)
        assert seconds < WITHIN_SECONDS
        with ThreadPoolExecutor(20) as pool:
            others = list(pool.map(lambda _: timed(Client()), range(20)))
        assert {status for status, *_ in others} == {503}
        assert max(seconds for *_, seconds in others) < WITHIN_SECONDS
        began = time.monotonic()
        assert client.get("/healthz").content == b"ok\n"
        assert time.monotonic() - began < 0.5


def test_probes_at_the_same_time_ask_once(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, going_on: Event
) -> None:
    asked = []

    def ask() -> Any:
        asked.append(1)
        return hanging(going_on)()

    monkeypatch.setattr(components, "database", ask)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: timed(Client()), range(20)))
    assert len(asked) == 1


def test_a_finding_is_told_for_a_second_and_then_looked_for_again(
    client: Client, ready: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timed(client)[0] == 200
    monkeypatch.setattr(components, "database", away)
    assert timed(client)[0] == 200
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0)
    assert timed(client)[0] == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_read(client: Client, db: None, path: str, method: str) -> None:
    assert getattr(client, method)(path).status_code == 405


def test_a_locked_database_answers_or_not_but_in_time(client: Client, committed_world: World) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("BEGIN EXCLUSIVE")
        status, _, seconds = timed(client)
        assert status in (200, 503)
        assert seconds < WITHIN_SECONDS
        if connection.vendor == "sqlite":
            cursor.execute("ROLLBACK")
