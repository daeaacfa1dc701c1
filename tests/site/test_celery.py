"""Celery on a Redis of its own: a message says only "look", and the rows decide."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from conftest import World
from jobs.models import Job, PeriodicTask
from jobs.queue import claims, notify
from jobs.tests.upstream import Server, serving
from jobs.tests.worker.test_worker import add, until
from jobs.worker import periodic
from jobs.worker.pool import WorkerPool
from pixian_web import celery, tasks
from tests.site import brokers
from tests.site.brokers import Broker, pointed_at

CLOSED_PORT = "redis://127.0.0.1:1/0"


@pytest.fixture
def broker() -> Iterator[Broker]:
    with brokers.running() as broker:
        yield broker


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def pool(server: Server, monkeypatch: pytest.MonkeyPatch) -> WorkerPool:
    """This process's, on the upstream of the test."""
    pool = WorkerPool(server.upstream, 1, tasks.stopping)
    monkeypatch.setattr(tasks, "_pool", lambda: pool)
    return pool


def states() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("state", flat=True))


def test_a_wake_is_so_many_looks(broker: Broker) -> None:
    celery.wake(3)
    assert [(message.task, message.expires) for message in broker.messages()] == [("jobs.look", None)] * 3


def test_a_look_may_expire_so_that_they_never_pile_up(broker: Broker) -> None:
    celery.wake(1, expires=2)
    (message,) = broker.messages()
    assert message.expires
    assert timedelta(0) < message.expires - datetime.now(UTC) <= timedelta(seconds=2)


def test_an_upload_wakes_one_worker_through_the_broker(
    committed_world: World, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_notifier", lambda: celery.wake)
    committed_world.job()
    assert [message.task for message in broker.messages()] == ["jobs.look"]


# A broker that is away --------------------------------------------------------------------------------


def test_a_broker_that_refuses_costs_an_upload_next_to_nothing() -> None:
    with pointed_at(CLOSED_PORT):
        began = time.monotonic()
        with pytest.raises(ConnectionError, match="refused"):
            celery.wake(1)
        assert time.monotonic() - began < 1.5


def test_a_broker_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery.app.conf.broker_transport_options, "socket_timeout", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with pointed_at(url), pytest.raises(ConnectionError):
            celery.wake(1)


def test_a_broker_that_restarts_takes_wakes_again(broker: Broker) -> None:
    celery.wake(1)
    broker.server.kill()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            celery.wake(1)
    broker.server.start()
    celery.wake(1)
    assert len(broker.messages()) == 1


# What is due is announced again ------------------------------------------------------------------------


def test_looking_again_announces_no_more_than_the_free_calls(committed_world: World, broker: Broker) -> None:
    add(committed_world, 8)
    tasks.announce()
    assert len(broker.messages()) == 5
    assert all(message.expires for message in broker.messages())
    broker.lose_all()
    for _ in range(3):
        claims.claim("busy")
    tasks.announce()
    assert len(broker.messages()) == 2


def test_nothing_due_is_nothing_announced(committed_world: World, broker: Broker) -> None:
    tasks.announce()
    assert broker.messages() == []


def test_a_lost_message_is_announced_again(
    committed_world: World, broker: Broker, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_notifier", lambda: celery.wake)
    add(committed_world, 1)
    broker.lose_all()
    tasks.announce()
    assert [message.task for message in broker.messages()] == ["jobs.look"]
    tasks.look()
    assert states() == ["done"]
    broker.lose_all()
    tasks.announce()
    assert broker.messages() == []


def test_a_job_left_behind_is_announced_again(
    committed_world: World, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(committed_world, 1)
    claims.claim("killed")
    tasks.announce()
    assert broker.messages() == []
    Job.objects.update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    tasks.announce()
    assert len(broker.messages()) == 1


def test_a_doubled_message_makes_no_second_call(
    committed_world: World, server: Server, pool: WorkerPool
) -> None:
    add(committed_world, 1)
    for _ in range(3):
        tasks.look()
    assert (states(), server.calls) == (["done"], 1)


def test_two_messages_at_once_make_one_call(committed_world: World, server: Server, pool: WorkerPool) -> None:
    add(committed_world, 1)

    def look() -> None:
        tasks.look()
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (states(), server.calls) == (["done"], 1)


# Without a message --------------------------------------------------------------------------------------


def test_with_beat_dead_and_the_broker_emptied_a_worker_looks_by_itself(
    committed_world: World,
    broker: Broker,
    server: Server,
    pool: WorkerPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(committed_world, 3)
    broker.lose_all()
    stopping = threading.Event()
    monkeypatch.setattr(tasks, "stopping", stopping)
    monkeypatch.setattr(tasks, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(tasks, "_places", lambda: threading.Semaphore(1))
    poll = threading.Thread(target=tasks._poll)
    poll.start()
    try:
        until(lambda: states() == ["done"] * 3)
    finally:
        stopping.set()
        poll.join()
    assert server.calls == 3


def test_polls_and_messages_together_take_no_more_than_there_are_threads(
    committed_world: World, server: Server, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(committed_world, 1)
    stopping, places = threading.Event(), threading.Semaphore(1)
    monkeypatch.setattr(tasks, "stopping", stopping)
    monkeypatch.setattr(tasks, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(tasks, "_places", lambda: places)
    poll = threading.Thread(target=tasks._poll)
    with places:  # a message's task is at work
        poll.start()
        time.sleep(0.5)
        assert states() == ["queued"]
    until(lambda: states() == ["done"])
    stopping.set()
    poll.join()


def test_beat_leaves_a_mark_but_not_with_each_announcement(committed_world: World, broker: Broker) -> None:
    tasks.announce()
    first = PeriodicTask.objects.get(name=periodic.BEAT)
    tasks.announce()
    assert PeriodicTask.objects.get(name=periodic.BEAT).ran_at == first.ran_at
    PeriodicTask.objects.update(due_at=first.due_at - timedelta(minutes=1))
    tasks.announce()
    last = PeriodicTask.objects.get(name=periodic.BEAT).ran_at
    assert first.ran_at
    assert last
    assert last > first.ran_at
