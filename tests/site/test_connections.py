"""Connections to PostgreSQL: bounded, given back before a thread waits, never shared with a child."""

import os
import threading
import time
from typing import Any, cast

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from django.http import FileResponse, HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse

from conftest import World
from jobs.audit import history_export
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.worker.pool import WorkerPool
from pixian_web import connections
from pixian_web.connections import GiveBackMiddleware

pytestmark = pytest.mark.both_databases

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool")


def test_the_pool_is_bounded_by_the_setting() -> None:
    assert connections.pool_options(0) == {}
    assert connections.pool_options(7)["max_size"] == 7
    for wrong in (-1, 1):
        with pytest.raises(ImproperlyConfigured, match="DATABASE_POOL"):
            connections.pool_options(wrong)


def pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (found,) = cursor.fetchone() or (0,)
    return int(found)


@postgresql
def test_what_is_given_back_serves_the_next_thread(transactional_db: None) -> None:
    first, others = pid(), []
    give_back()
    assert connection.connection is None

    def ask() -> None:
        others.append(pid())
        give_back()

    # The pool takes a connection back in a thread of its own, and opens another one until then.
    end = time.monotonic() + 10
    while first not in others and time.monotonic() < end:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        time.sleep(0.05)
    assert first in others


def test_nothing_is_given_back_inside_a_transaction(committed_world: World) -> None:
    with transaction.atomic():
        committed_world.team.refresh_from_db()
        give_back()
        assert connection.connection is not None
        committed_world.team.refresh_from_db()


@postgresql
def test_a_stream_is_sent_without_a_connection(committed_world: World, tmp_path: Any) -> None:
    (tmp_path / "picture").write_bytes(b"bytes")

    def download(_request: HttpRequest) -> FileResponse:
        committed_world.team.refresh_from_db()
        return FileResponse((tmp_path / "picture").open("rb"))

    response = GiveBackMiddleware(download)(HttpRequest())
    assert connection.connection is None
    assert b"".join(response) == b"bytes"
    response.close()
    committed_world.team.refresh_from_db()
    GiveBackMiddleware(lambda _: HttpResponse("page"))(HttpRequest())
    assert connection.connection is not None  # Django itself gives it back at the request's end


def test_an_export_that_fails_at_once_has_a_page(
    committed_world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> bytes:
        raise OperationalError

    monkeypatch.setattr(history_export, "as_csv", lambda *_: (away() for _ in range(1)))
    client.raise_request_exception = False
    client.force_login(committed_world.alice)
    response = client.get(reverse("history_csv", args=[committed_world.team.slug]))
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)


@postgresql
def test_a_worker_waits_without_a_connection(transactional_db: None) -> None:
    pid()
    with WorkerPool(cast("Upstream", None), 1, threading.Event()).beating():
        assert connection.connection is None


@postgresql
def test_a_thread_without_a_connection_gets_the_error_of_a_database_that_is_down(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error after which a call's booking is retried."""
    give_back()
    pool: Any = connection.pool  # type: ignore[attr-defined]
    taken = [pool.getconn() for _ in range(pool.max_size)]
    monkeypatch.setattr(pool, "timeout", 0.1)  # not before: to open that many takes longer
    try:
        with pytest.raises(OperationalError, match="couldn't get a connection"):
            pid()
    finally:
        for each in taken:
            pool.putconn(each)
    assert pid()


@postgresql
def test_connections_that_were_cut_are_replaced(transactional_db: None) -> None:
    before = pid()
    give_back()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
        own.execute("SELECT pg_terminate_backend(%s)", [before])
    assert pid() != before


@postgresql
def test_a_child_has_connections_of_its_own(transactional_db: None) -> None:
    before = pid()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(theirs, str(pid()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        in_the_child = told.read()
    assert in_the_child.isdigit()
    assert int(in_the_child) != before
    assert pid() == before
