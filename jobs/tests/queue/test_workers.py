"""Which workers are there: they show themselves while they renew their leases, and leave when they end."""

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from pytest_django import Settings

from conftest import World
from jobs.models import WorkerHeartbeat
from jobs.queue import workers
from jobs.tests.clock import Clock
from jobs.tests.upstream import Server
from jobs.tests.worker.test_worker import until, working

pytestmark = pytest.mark.both_databases


@pytest.fixture
def clock(db: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def names() -> list[str]:
    return [there.worker for there in workers.at_work()]


def test_a_worker_shows_itself_and_leaves(clock: Clock) -> None:
    assert names() == []
    workers.register("b:2", 4)
    workers.register("a:1", 2)
    assert [(there.worker, there.threads) for there in workers.at_work()] == [("a:1", 2), ("b:2", 4)]
    workers.unregister("a:1")
    assert names() == ["b:2"]
    workers.unregister("a:1")


def test_showing_itself_again_keeps_the_time_it_started(clock: Clock) -> None:
    workers.register("a:1", 2)
    clock.pass_by(50)
    workers.register("a:1", 2)
    there = WorkerHeartbeat.objects.get()
    assert there.seen_at - there.started_at == timedelta(seconds=50)


def test_whoever_is_silent_for_longer_than_a_lease_is_gone(clock: Clock, settings: Settings) -> None:
    workers.register("silent", 2)
    clock.pass_by(settings.LEASE_SECONDS)
    assert names() == ["silent"]
    clock.pass_by(1)
    assert names() == []
    workers.register("silent", 2)
    assert names() == ["silent"]


def test_whoever_never_left_is_swept_up_when_another_comes(clock: Clock) -> None:
    workers.register("killed", 2)
    clock.pass_by(24 * 3600 - 1)
    workers.register("new", 2)
    assert WorkerHeartbeat.objects.filter(pk="killed").exists()
    clock.pass_by(2)
    workers.register("new", 2)
    assert WorkerHeartbeat.objects.count() == 2  # no sweep with every heartbeat
    workers.register("newer", 2)
    assert set(WorkerHeartbeat.objects.values_list("pk", flat=True)) == {"new", "newer"}


def test_a_real_worker_comes_and_goes(committed_world: World, server: Server) -> None:
    with working(server.upstream, threads=3):
        until(lambda: len(names()) == 1)
        assert workers.at_work().get().threads == 3
    assert not WorkerHeartbeat.objects.exists()


def test_a_process_of_the_same_name_has_its_own_threads(clock: Clock) -> None:
    """A container that is started anew with other settings."""
    workers.register("a:1", 2)
    workers.register("a:1", 8)
    assert workers.at_work().get().threads == 8


def test_web_processes_are_no_workers(clock: Clock) -> None:
    workers.register("web:1", 32, workers.Kind.WEB)
    workers.register("worker:2", 2)
    assert names() == ["worker:2"]
    assert [there.worker for there in workers.at_work(workers.Kind.WEB)] == ["web:1"]


def test_two_threads_that_show_one_process_at_once_do_not_collide(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither finds the row, and both write it."""
    workers.register("host:1", 4)
    monkeypatch.setattr(QuerySet, "update", lambda *_, **__: 0)
    workers.register("host:1", 4)
    assert WorkerHeartbeat.objects.get().threads == 4
