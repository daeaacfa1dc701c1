"""E12: how long each thread waits after a 429."""

import threading
from collections import defaultdict
from itertools import chain

import pytest
from pytest_django import Settings

from conftest import World
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.clock import Clock
from jobs.tests.upstream import Server
from jobs.tests.worker.test_worker import add, until
from jobs.worker import periodic, pool
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Stop(threading.Event):
    """Notes the waits that the upstream asks of each thread, and lets the clock jump over them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.waits: dict[str, list[float]] = defaultdict(list)
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout and timeout >= 5:
            self.waits[threading.current_thread().name].append(timeout)
            self._clock.pass_by(timeout)
        return super().wait(0.01)


def refuse_together(server: Server, refusals: int) -> None:
    """The first two calls are answered together, so that each thread has one; then so many are refused."""
    both = threading.Barrier(2)
    refuse_both = wire.after(lambda: both.wait(20), wire.error(429, 1015))
    server.script.extend([refuse_both] * 2 + [wire.error(429, 1015)] * (refusals - 2))


def work_off(server: Server, clock: Clock, jobs: int, threads: int = 2) -> dict[str, list[float]]:
    """The threads work until so many jobs are done; returns each one's waits."""
    stop = Stop(clock)
    runner = threading.Thread(target=WorkerPool(server.upstream, threads, stop).run)
    runner.start()
    try:
        until(lambda: Job.objects.filter(state="done").count() == jobs)
    finally:
        stop.set()
        runner.join()
    return {name: waits for name, waits in stop.waits.items() if name.startswith("t")}


@pytest.fixture
def _long_leases(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """The clock jumps while another thread has a call in hand. And periodic tasks would ask there too."""
    settings.LEASE_SECONDS = 10_000
    monkeypatch.setattr(periodic, "TASKS", {})


@pytest.mark.usefixtures("_long_leases")
def test_a_thread_waits_5_then_10_then_15_seconds_and_begins_anew_after_a_success(
    committed_world: World, server: Server, clock: Clock
) -> None:
    add(committed_world, 2)
    slow_down = wire.error(429, 1015)
    server.script.extend([slow_down] * 3 + [wire.answer()] + [slow_down] * 2)
    assert work_off(server, clock, 2, threads=1) == {"t1": [5, 10, 15, 5, 10]}


@pytest.mark.usefixtures("_long_leases")
def test_no_thread_waits_for_anothers_refusals(committed_world: World, server: Server, clock: Clock) -> None:
    add(committed_world, 6)
    refuse_together(server, 8)
    waits = work_off(server, clock, 6)
    assert sorted(waits) == ["t1", "t2"]
    assert sum(map(len, waits.values())) == 8
    for mine in waits.values():
        assert mine == [5 * (n + 1) for n in range(len(mine))]


@pytest.mark.usefixtures("_long_leases")
def test_a_shared_count_makes_one_thread_wait_for_the_others_refusals(
    committed_world: World, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    shared = Backoff()
    monkeypatch.setattr(pool, "Backoff", lambda: shared)
    add(committed_world, 2)
    refuse_together(server, 2)
    waits = work_off(server, clock, 2)
    assert sorted(chain(*waits.values())) == [5, 10]
