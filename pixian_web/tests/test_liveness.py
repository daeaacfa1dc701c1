"""What a probe is told, in two seconds whatever hangs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client

from conftest import World

WITHIN_SECONDS = 2
REFUSED = "connection refused by db.internal"


@pytest.fixture
def going_on() -> Iterator[Event]:
    """Return an event that, once set, lets the hanging database go on."""
    event = Event()
    yield event
    event.set()


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, instead: Callable[[], object]) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(BaseDatabaseWrapper, "cursor", lambda *_: instead())
        yield


def refuse() -> None:
    raise OperationalError(REFUSED)


def timed(client: Client, **headers: Any) -> tuple[int, bytes, float]:
    began = time.monotonic()
    response = client.get("/healthz", **headers)
    return response.status_code, response.content, time.monotonic() - began


@pytest.mark.parametrize("error", [OperationalError(REFUSED), DatabaseError(REFUSED)])
def test_a_stranger_does_not_learn_why(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    with broken(monkeypatch, fail):
        assert timed(client)[:2] == (503, b"not ok\n")


def test_a_probe_is_answered_while_the_database_hangs(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch, going_on: Event
) -> None:
    """With the cookie of somebody who is logged in, too; and the next ones don't wait at all."""
    client.force_login(world.bob)

    def hang() -> None:
        going_on.wait(30)
        refuse()

    with broken(monkeypatch, hang):
        status, content, seconds = timed(client)
        assert (status, content) == (503, b"not ok\n")
        assert seconds < WITHIN_SECONDS
        with ThreadPoolExecutor(20) as pool:
            told = list(pool.map(lambda _: timed(Client()), range(20)))
        assert {status for status, *_ in told} == {503}
        assert max(seconds for *_, seconds in told) < WITHIN_SECONDS
    going_on.set()
    time.sleep(0.2)
    assert timed(client)[:2] == (200, b"ok\n")


def test_probes_at_the_same_time_ask_once(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, going_on: Event
) -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        going_on.wait(0.5)
        refuse()

    with broken(monkeypatch, ask), ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: timed(Client()), range(20)))
    assert len(asked) == 1


@pytest.mark.parametrize(("method", "status"), [("head", 200), ("post", 405), ("put", 405), ("delete", 405)])
def test_it_is_only_read(client: Client, db: None, method: str, status: int) -> None:
    assert getattr(client, method)("/healthz").status_code == status


def test_a_locked_database_answers_or_not_but_in_time(client: Client, committed_world: World) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("BEGIN EXCLUSIVE")
        status, _, seconds = timed(client)
        assert status in (200, 503)
        assert seconds < WITHIN_SECONDS
        if connection.vendor == "sqlite":
            cursor.execute("ROLLBACK")
