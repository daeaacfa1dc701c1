"""The database goes away just when a call is to be sent, its answer recorded, or its result booked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer
from conftest import World
from jobs.calls import attempts, execute
from jobs.models import Attempt
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.calls.test_one_call import balances, content
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

AWAY = OperationalError("the database system is shutting down")
STEPS: dict[str, tuple[Any, str]] = {
    "the sending": (attempts, "send"),
    "the answer": (attempts, "answer"),
    "the booking": (claims, "finish"),
}
BOOKED = Balances(available=99 * CREDIT, spent=CREDIT)

each_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
Arm = Callable[..., list[str]]


@pytest.fixture
def fails(committed_world: World) -> Iterator[Arm]:
    """``fails(step, times, when)``: *before* the step, or at the commit after it: *undone*, or done and only
    the confirmation *lost*. Returns a list with an entry for each failure so far."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "INSIST_STEP_SECONDS", 0)

        def arm(step: tuple[Any, str], times: int, when: str, error: Exception = AWAY) -> list[str]:
            take, commit = getattr(*step), getattr(connection, "_commit")  # noqa: B009 - of every backend
            failed: list[str] = []
            taken: list[bool] = []

            def fail_if(due: bool) -> None:
                if due and len(failed) < times:
                    failed.append(when)
                    raise type(error)(*error.args)

            def take_step(*args: Any, **kwargs: Any) -> None:
                fail_if(when == "before")
                take(*args, **kwargs)
                taken.append(True)

            def commit_or_fail() -> None:
                fail_if(when == "undone" and bool(taken))
                commit()
                fail_if(when == "lost" and bool(taken))

            patch.setattr(*step, take_step)
            patch.setattr(connection, "_commit", commit_or_fail)
            return failed

        yield arm


def assert_paid_once(world: World, server: Server) -> None:
    assert (server.calls, balances(world)) == (1, BOOKED)
    assert Transfer.objects.filter(kind="settle").count() == 1
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.sends) == ("booked", 1)


@each_step
@pytest.mark.parametrize(
    ("when", "error"),
    [("before", AWAY), ("before", InterfaceError("connection already closed")), ("undone", AWAY)],
    ids=str,
)
def test_a_database_that_restarts_costs_no_call_and_no_booking(
    committed_world: World, server: Server, fails: Arm, step: tuple[Any, str], when: str, error: Exception
) -> None:
    committed_world.job()
    failed = fails(step, 3, when, error)
    job, _ = run(server)
    assert (job.state, content(job), len(failed)) == ("done", wire.CUT_OUT, 3)
    assert_paid_once(committed_world, server)


@each_step
def test_a_commit_whose_confirmation_was_lost_is_not_repeated(
    committed_world: World, server: Server, fails: Arm, step: tuple[Any, str]
) -> None:
    committed_world.job()
    failed = fails(step, 1, "lost")
    job, _ = run(server)
    assert (job.state, len(failed)) == ("done", 1)
    assert_paid_once(committed_world, server)


def test_a_result_without_a_readable_charge_outlasts_it_too(
    committed_world: World, server: Server, fails: Arm
) -> None:
    committed_world.job()
    server.script.append(wire.answer(charged=None))
    fails(STEPS["the booking"], 2, "undone")
    job, _ = run(server)
    assert (job.state, job.last_attempt.state, server.calls) == ("done", "in_doubt", 1)
    assert balances(committed_world).held == CREDIT


def test_a_tests_result_outlasts_it_too(committed_world: World, server: Server, fails: Arm) -> None:
    """Its attempt is released, which is moved on in memory although the commit was undone."""
    committed_world.job()
    Attempt.objects.update(hold=None, test=True)
    server.script.append(wire.answer(charged=None))
    fails(STEPS["the booking"], 2, "undone")
    job, _ = run(server)
    assert (job.state, job.last_attempt.state, server.calls) == ("done", "released", 1)


@pytest.mark.parametrize(("step", "state"), [("the answer", "in_doubt"), ("the booking", "done")])
def test_a_database_that_stays_away_leaves_the_rest_to_a_restart(
    committed_world: World,
    server: Server,
    fails: Arm,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    state: str,
) -> None:
    """An answer that was never recorded is a doubt; a result that was stored is found and booked."""
    committed_world.job()
    fails(STEPS[step], 1, "undone")
    monkeypatch.setattr(execute, "INSIST_SECONDS", -1)
    with pytest.raises(OperationalError):
        run(server)
    job, _ = run(server)
    assert (job.state, server.calls) == (state, 1)


@each_step
def test_without_insisting_one_failed_commit_ends_the_turn(
    committed_world: World,
    server: Server,
    fails: Arm,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[Any, str],
) -> None:
    """The control."""
    committed_world.job()
    monkeypatch.setattr(execute, "commit_with_retry", lambda step, _done, *args: step(*args))
    fails(step, 1, "undone")
    with pytest.raises(OperationalError):
        run(server)
    assert Attempt.objects.get().state in ("prepared", "sent", "answered")


@each_step
def test_without_looking_a_lost_confirmation_is_written_twice(
    committed_world: World,
    server: Server,
    fails: Arm,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[Any, str],
) -> None:
    """The control; the fence and the attempt's state catch the second write."""
    committed_world.job()
    insist = execute.commit_with_retry
    monkeypatch.setattr(
        execute, "commit_with_retry", lambda step, _done, *args: insist(step, execute._never, *args)
    )
    fails(step, 1, "lost")
    with pytest.raises((attempts.WrongStateError, claims.LostLeaseError)):
        run(server)
