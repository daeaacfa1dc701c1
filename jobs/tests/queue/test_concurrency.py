"""E12: how many calls are in flight over all workers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import cycle

import pytest
from django.db import connection
from pytest_django import Settings

from conftest import World
from jobs.models import Job, Ramp, Turn
from jobs.queue import claims, concurrency
from jobs.tests.clock import Clock
from jobs.tests.worker.test_worker import add

pytestmark = pytest.mark.both_databases

STEP = 300


@pytest.fixture
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The ramp begins with it."""
    clock = Clock(monkeypatch)
    request.getfixturevalue("db")
    Ramp.objects.create(pk=1, began_at=clock.now, claimed_at=clock.now)
    return clock


def claim_all(*workers: str) -> None:
    """The workers claim by turns, until one of them gets nothing."""
    for name in cycle(workers or ("one",)):
        if claims.claim(name) is None:
            break


def in_flight(clock: Clock) -> int:
    return Job.objects.in_flight(clock.now).count()


def end_one() -> None:
    job = Job.objects.filter(state="running").earliest("pk")
    claims.fail(job, Job.Reason.REFUSED)


def busily(clock: Clock, seconds: int) -> None:
    """Time passes: leases are renewed, and a call ends and another begins now and then."""
    for _ in range(seconds // 50):
        clock.pass_by(50)
        for pk, fence in Job.objects.filter(state="running").values_list("pk", "fence"):
            assert claims.heartbeat(pk, fence)
        end_one()
        assert claims.claim("busy")


def test_five_calls_at_first_and_one_more_every_five_minutes(world: World, clock: Clock) -> None:
    add(world, 60)
    claim_all("one")
    assert in_flight(clock) == 5
    for expected in (6, 7, 8):
        busily(clock, STEP - 50)
        assert claims.claim("one") is None
        busily(clock, 50)
        claim_all("one")
        assert (in_flight(clock), concurrency.free_calls()) == (expected, 0)


def test_an_account_that_may_begin_with_more_begins_with_more(
    world: World, clock: Clock, settings: Settings
) -> None:
    settings.CALLS_AT_START = 8
    add(world, 60)
    claim_all("one", "two")
    assert (in_flight(clock), concurrency.free_calls()) == (8, 0)
    busily(clock, STEP)
    claim_all("one")
    assert in_flight(clock) == 9
    while Job.objects.filter(state="running").exists():
        end_one()
    clock.pass_by(2 * STEP)
    assert concurrency.free_calls() == 8  # a break begins the ramp anew, not from 5


def test_the_ceiling_is_never_passed(world: World, clock: Clock, settings: Settings) -> None:
    settings.CALLS_IN_FLIGHT = 6
    add(world, 40)
    claim_all()
    busily(clock, 3 * STEP)
    claim_all()
    assert in_flight(clock) == 6


def test_a_call_that_ended_makes_room_for_the_next(world: World, clock: Clock) -> None:
    add(world, 7)
    claim_all()
    end_one()
    assert concurrency.free_calls() == 1
    assert claims.claim("one")
    assert claims.claim("one") is None


def test_calls_are_counted_over_all_workers(world: World, clock: Clock) -> None:
    add(world, 8)
    claim_all("host a:1:t1", "host a:1:t2", "host b:7:t1")
    assert in_flight(clock) == 5
    assert Job.objects.filter(state="running").values("worker").distinct().count() == 3


def test_a_break_begins_it_anew(world: World, clock: Clock) -> None:
    add(world, 60)
    claim_all()
    busily(clock, 2 * STEP)
    claim_all()
    assert in_flight(clock) == 7
    while Job.objects.filter(state="running").exists():
        end_one()
    clock.pass_by(STEP - 2)  # no break yet: the last claim is recorded to the second
    assert concurrency.free_calls() == 7
    clock.pass_by(4)
    assert concurrency.free_calls() == 5
    claim_all()
    assert in_flight(clock) == 5


def test_lapsed_leases_do_not_count(world: World, clock: Clock, settings: Settings) -> None:
    """Their workers are gone, so their calls can't be counted on; they are taken up first of all."""
    add(world, 8)
    claim_all("killed")
    clock.pass_by(settings.LEASE_SECONDS + 1)
    assert concurrency.free_calls() == 5
    claim_all("alive")
    assert in_flight(clock) == 5


def test_a_lease_counts_from_after_the_wait_for_the_lock(
    world: World, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be half over when it begins, and another worker would take the job up soon."""
    locked = concurrency.locked

    def wait_for_it() -> Ramp:
        clock.pass_by(settings.LEASE_SECONDS - 1)
        return locked()

    monkeypatch.setattr(concurrency, "locked", wait_for_it)
    add(world, 1)
    job = claims.claim("patient")
    assert job
    assert job.lease_until == clock.now + timedelta(seconds=settings.LEASE_SECONDS)


def begin_at_once(threads: int) -> int:
    """How many calls so many threads begin that all ask at the same moment, each until it gets nothing."""
    start = threading.Barrier(threads)

    def work(number: int) -> int:
        begun = 0
        try:
            start.wait()
            while claims.claim(f"t{number}"):
                begun += 1
        finally:
            connection.close()
        return begun

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def test_threads_that_ask_at_once_never_exceed_it(committed_world: World) -> None:
    add(committed_world, 20)
    assert begin_at_once(8) == 5


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite lets in one writer at a time, with or without this lock"
)
def test_without_the_ramps_lock_they_exceed_it(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    add(committed_world, 20)
    Ramp.objects.create(pk=1)
    Turn.objects.create(team=committed_world.team)
    all_have_claimed = threading.Barrier(8)
    first_eight = iter(range(8))

    def record_and_wait(*_: object) -> None:
        """Amid the transaction: none of the first eight sees what the others have claimed."""
        if next(first_eight, None) is not None:
            all_have_claimed.wait(20)

    monkeypatch.setattr(concurrency, "record", record_and_wait)
    monkeypatch.setattr(concurrency, "locked", lambda: Ramp.objects.get(pk=1))
    assert begin_at_once(8) > 5
