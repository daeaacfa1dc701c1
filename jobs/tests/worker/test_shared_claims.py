"""One claim for all free threads of a process: each gets its own job, and none waits for one that sleeps."""

import threading
import time
from collections.abc import Sequence

import pytest
from django.db import OperationalError, connection

from accounts.models import Team
from conftest import World, small_png
from jobs.models import Job, Turn
from jobs.queue import claims, concurrency
from jobs.tests.queue.test_fairness import rows
from jobs.tests.worker.test_worker import until
from jobs.worker import shared_claims
from jobs.worker.shared_claims import SharedClaims

pytestmark = pytest.mark.both_databases


class Workers:
    """Threads that each ask for one job, and what they got."""

    def __init__(self, shared: SharedClaims) -> None:
        self.jobs: dict[str, Job | None] = {}
        self.errors: list[Exception] = []
        self._shared = shared
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, *, blocking: bool = True) -> None:
        self._threads.append(threading.Thread(target=self._ask, args=(name, blocking)))
        self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def _ask(self, name: str, blocking: bool) -> None:
        try:
            self.jobs[name] = self._shared.next_job(name, blocking=blocking)
        except OperationalError as error:
            self.errors.append(error)
        finally:
            connection.close()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def workers(stop: threading.Event) -> Workers:
    return Workers(SharedClaims(stop))


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """For whom was asked, claim by claim; the first one waits until three more threads want a job."""
    asked: list[Sequence[str]] = []
    claim_each = claims.claim_each

    def slow_first(names: Sequence[str]) -> list[Job]:
        asked.append(names)
        if len(asked) == 1:
            time.sleep(0.5)
        return claim_each(names)

    monkeypatch.setattr(claims, "claim_each", slow_first)
    return asked


def test_threads_that_become_free_meanwhile_share_the_next_claim(
    committed_world: World, workers: Workers, claimed: list[Sequence[str]]
) -> None:
    for _ in range(4):
        committed_world.job(small_png(9, 9))
    workers.ask("t1")
    until(lambda: len(claimed) == 1)
    for name in ("t2", "t3", "t4"):
        workers.ask(name)
    workers.join()
    assert [sorted(names) for names in claimed] == [["t1"], ["t2", "t3", "t4"]]
    jobs = [job for job in workers.jobs.values() if job]
    assert len({job.pk for job in jobs}) == 4
    assert {name: job.worker for name, job in workers.jobs.items() if job} == {
        name: name for name in ("t1", "t2", "t3", "t4")
    }


def test_no_more_are_claimed_than_there_are_free_threads(committed_world: World, workers: Workers) -> None:
    for _ in range(3):
        committed_world.job(small_png(9, 9))
    workers.ask("t1")
    workers.join()
    assert Job.objects.filter(state="running").count() == 1


def test_together_they_keep_to_the_limit(committed_world: World) -> None:
    for _ in range(8):
        committed_world.job(small_png(9, 9))
    jobs = claims.claim_each([f"t{n}" for n in range(8)])
    assert (len(jobs), concurrency.free_calls()) == (5, 0)


def test_within_one_claim_teams_take_turns(world: World) -> None:
    others = Team.objects.get(slug="outsiders")
    rows(world, world.team, 50)
    rows(world, others, 2)
    teams = [job.team.slug for job in claims.claim_each(["a", "b", "c", "d"])]
    assert teams == ["aurora", "outsiders"] * 2
    assert Turn.objects.get(team=others).served_at > Turn.objects.get(team=world.team).served_at


def test_a_thread_that_comes_back_wakes_the_one_that_waits(
    committed_world: World, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before it would look again by itself: a call has ended, and made room."""
    monkeypatch.setattr(shared_claims, "POLL_SECONDS", 20)
    for _ in range(7):
        committed_world.job(small_png(9, 9))
    first = claims.claim_each([f"t{n}" for n in range(5)])
    workers.ask("t6")
    time.sleep(0.3)
    assert workers.jobs == {}
    claims.fail(first[0], Job.Reason.REFUSED)
    began = time.monotonic()
    claims.fail(first[1], Job.Reason.REFUSED)
    workers.ask("t1")
    workers.join()
    assert time.monotonic() - began < 10
    assert all(workers.jobs.values())


def test_an_error_is_the_claiming_threads_and_the_next_one_asks_again(
    committed_world: World, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed_world.job(small_png(9, 9))
    claim_each = claims.claim_each
    fails = iter([True])

    def fail_once(names: Sequence[str]) -> list[Job]:
        if next(fails, False):
            time.sleep(0.5)
            raise OperationalError("away")
        return claim_each(names)

    monkeypatch.setattr(claims, "claim_each", fail_once)
    workers.ask("t1")
    time.sleep(0.2)
    workers.ask("t2")
    workers.join()
    assert len(workers.errors) == 1
    assert [name for name, job in workers.jobs.items() if job] == ["t2"]


def test_told_to_stop_they_all_come_back(
    committed_world: World, workers: Workers, stop: threading.Event
) -> None:
    for name in ("t1", "t2", "t3"):
        workers.ask(name)
    time.sleep(0.3)
    stop.set()
    workers.join()
    assert workers.jobs == {"t1": None, "t2": None, "t3": None}


def test_without_work_a_thread_that_may_not_wait_comes_back(committed_world: World, workers: Workers) -> None:
    workers.ask("t1", blocking=False)
    workers.join()
    assert workers.jobs == {"t1": None}
