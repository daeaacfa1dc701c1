"""Programs' calls that wait for their turn: what they write meanwhile, who is next, and what wakes them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import small_png
from jobs.intake import submit
from jobs.models import Job
from jobs.queue import concurrency
from jobs.queue.claims import CallLimitError
from jobs.queue.heartbeat import process_name
from jobs.tests.api.programs import Program, begun, upload_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> concurrency.CallLimit:
    made = concurrency.CallLimit()
    monkeypatch.setattr(concurrency, "call_limit", made)
    return made


def eventually(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def free(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> Iterator[None]:
    """So many calls seem free, and nothing is asked of the database."""
    with monkeypatch.context() as patched:
        patched.setattr(concurrency, "seems_free", lambda trying: calls[0] > trying)
        patched.setattr(concurrency, "note_waiting", lambda: None)
        yield


def test_teams_take_turns(line: concurrency.CallLimit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty calls of one team came before the one of another."""
    calls, served = [0], []
    lock = threading.Lock()

    def wait(team: int) -> None:
        with line.turn(team, time.monotonic() + 20), lock:
            served.append(team)

    with free(monkeypatch, calls):
        threads = []
        for team in (*[1] * 20, 2, 3):
            threads.append(threading.Thread(target=wait, args=(team,)))
            threads[-1].start()
            eventually(lambda: len(line._waiting) == len(threads))
        calls[0] = 1
        line.recheck()
        for thread in threads:
            thread.join()
    assert served[:3] == [1, 2, 3]
    assert served.count(1) == 20


def test_a_call_that_ends_wakes_the_next_one(
    line: concurrency.CallLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before it would look again by itself."""
    monkeypatch.setattr(concurrency, "RECHECK_SECONDS", 20)
    calls, begun_at = [0], []

    def wait() -> None:
        with line.turn(1, time.monotonic() + 30):
            begun_at.append(time.monotonic())

    with free(monkeypatch, calls):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        calls[0], freed_at = 1, time.monotonic()
        line.recheck()
        thread.join()
    assert begun_at[0] - freed_at < 1


def test_one_free_call_is_tried_by_one(line: concurrency.CallLimit, monkeypatch: pytest.MonkeyPatch) -> None:
    again = line.turn(2, 0, refused=True)
    with free(monkeypatch, [1]), line.turn(1, 0), pytest.raises(CallLimitError), again:
        pass
    with free(monkeypatch, [1]), line.turn(2, 0):
        pass
    assert not line._waiting


def test_right_after_an_admission_that_left_calls_free_the_next_one_is_tried_at_once(
    program: Program, line: concurrency.CallLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = concurrency.seems_free

    def seems_free(trying: int) -> bool:
        looks.append(trying)
        return look(trying)

    monkeypatch.setattr(concurrency, "seems_free", seems_free)
    begun(program.key)
    begun(program.key)
    assert looks == [0]
    monkeypatch.setattr(concurrency, "KNOWN_FREE_SECONDS", 0)
    begun(program.key)
    begun(program.key)
    assert looks == [0, 0]


def test_if_another_process_took_those_calls_it_is_refused_and_lines_up(
    program: Program, line: concurrency.CallLimit, settings: Settings
) -> None:
    settings.CALLS_IN_FLIGHT = 1
    begun(program.key)
    line.note_free(5)
    with pytest.raises(CallLimitError):
        begun(program.key)
    assert Job.objects.count() == 1
    assert ledger.balances(program.key.team).held == CREDIT
    assert not line._waiting


def test_while_it_waits_no_hold_is_written(
    program: Program, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is rolled back: nothing but the word that a program waits."""
    settings.CALLS_IN_FLIGHT = 1
    begun(program.key)
    tried: list[object] = []
    monkeypatch.setattr(submit, "_begin", lambda *given: tried.append(given))
    sent, until = upload_of(small_png()), time.monotonic() + 2
    with sent.file, CaptureQueriesContext(connection) as asked, pytest.raises(CallLimitError):
        submit.submit_and_claim(program.key, sent, process_name(), until)
    assert not tried
    writes = [query["sql"] for query in asked if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert {sql.split('"')[1] for sql in writes} == {"jobs_ramp"}
    assert len(asked) < 40
