"""Charges are compared with bookings: what doesn't fit is named exactly, each once."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.ledger.money import MICROCREDITS as CREDIT
from chaos.checker import check_charges, compare, match, match_calls
from chaos.upstream import Call, Charge, Log, read_log
from conftest import World
from jobs.models import Attempt, Job
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server

A, B = "a" * 64, "b" * 64
AT_5 = "1970-01-01 00:00:05.000+00:00"


def charge(at: float, credits_: float = 1, sha256: str = A, call: int = 0) -> Charge:
    return Charge(call, at, sha256, int(credits_ * CREDIT), None)


CASES: dict[str, tuple[float | None, list[float], list[str]]] = {
    "nothing": (0, [], []),
    "all fits": (1, [1], []),
    "missing": (1, [], ["1 booked, and the journal has no charge"]),
    "doubled": (1, [1, 1], [f"charged once more, 1 at {AT_5}"]),
    "charged three times": (1, [1, 1, 1], [f"charged once more, 1 at {AT_5}"] * 2),
    "doubled, the second of the right amount": (1, [2.5, 1], [f"charged once more, 2.5 at {AT_5}"]),
    "wrong amount": (1, [2], [f"1 booked, and the journal charged 2 at {AT_5}"]),
    "released, and charged all the same": (0, [1], [f"0 booked, and the journal charged 1 at {AT_5}"]),
    "in doubt or under way, charged": (None, [3], []),
    "in doubt or under way, not charged": (None, [], []),
    "in doubt, charged twice": (None, [1, 1], [f"charged once more, 1 at {AT_5}"]),
}


@pytest.mark.parametrize(("booked", "charges", "expected"), CASES.values(), ids=CASES)
def test_each_is_named_once(booked: float | None, charges: list[float], expected: list[str]) -> None:
    amount = None if booked is None else int(booked * CREDIT)
    assert list(compare(amount, [charge(5, credits_) for credits_ in charges])) == expected


def attempt(pk: int, began: float, booked: int, sha256: str = A) -> Attempt:
    """Return an attempt that was never saved."""
    made = Attempt(pk=pk, job=Job(pk=pk, source_sha256=sha256), number=1, state=Attempt.State.BOOKED)
    made.prepared_at = datetime.fromtimestamp(began, UTC)
    made.booked = booked
    return made


def found(attempts: list[Attempt], log: Log) -> list[str]:
    return list(check_charges(log, match(attempts, log.calls)[0]))


FIRST, SECOND = attempt(1, 0, CREDIT), attempt(2, 12, CREDIT)
CALLS = [Call(1, 5, "ok", 200, A, 1), Call(2, 15, "ok", 200, A, 1)]


def test_the_same_picture_again_is_told_apart_by_its_calls() -> None:
    first, second = charge(5, call=1), charge(15, call=2)
    lacks = "1 booked, and the journal has no charge"
    assert found([FIRST, SECOND], Log(CALLS, [first, second])) == []
    assert found([FIRST, SECOND], Log(CALLS, [second])) == [f"1/1: {lacks}"]
    assert found([FIRST, SECOND], Log(CALLS, [first])) == [f"2/1: {lacks}"]
    assert found([FIRST, SECOND], Log(CALLS, [first, first])) == [
        f"2/1: {lacks}",
        f"1/1: charged once more, 1 at {AT_5}",
    ]
    late = charge(99, call=1)  # a delayed call is charged when nobody waits for it any more
    assert found([FIRST, SECOND], Log(CALLS, [late, second])) == []


@pytest.mark.parametrize("stranger", [charge(5, 2.5, call=9), charge(5, 2.5, B, call=9)])
def test_a_charge_of_no_attempt_is_named(stranger: Charge) -> None:
    log = Log([CALLS[0], Call(9, 5, "ok", 200, B, 1)], [charge(5, call=1), stranger])
    assert found([FIRST], log) == [f"2.5 at {AT_5} was charged for no attempt"]


def test_a_charge_of_nothing_is_passed_over() -> None:
    assert found([], Log([], [charge(5, 0)])) == []


PLANTED = {
    "100/1": "booked, and the journal has no charge",
    "200/1": "charged once more, 9 at",
    "300/1": "booked, and the journal charged",
    "": "1 at 1970-01-01 00:00:00.000+00:00 was charged for no attempt",
}


def plant(seed: int, count: int) -> tuple[list[Attempt], Log]:
    """Make so many calls of half as many pictures."""
    chance, attempts, log = random.Random(seed), [], Log()
    for number in range(count):
        began, amount, sha256 = number / 20, chance.randrange(1, 9) / 4, f"{number // 2:064x}"
        attempts.append(attempt(number, began, int(amount * CREDIT), sha256))
        log.calls.append(Call(number, began + 0.01, "ok", 200, sha256, 1))
        log.charges.append(charge(began + chance.uniform(0.02, 10), amount, sha256, number))
    chance.shuffle(log.charges)
    return attempts, log


def test_four_faults_in_twenty_thousand() -> None:
    """E10; ``python -m chaos books`` has a hundred thousand rows."""
    attempts, log = plant(10, 20_000)
    by_call = {one.call: one for one in log.charges}
    log.charges.remove(by_call[100])
    log.charges.append(replace(by_call[200], microcredits=9 * CREDIT))
    log.charges.remove(by_call[300])
    log.charges.append(replace(by_call[300], microcredits=by_call[300].microcredits + 1))
    log.charges.append(charge(0, 1, B, call=-1))
    sentences = found(attempts, log)
    assert len(sentences) == len(PLANTED)
    for name, what in PLANTED.items():
        assert any(one.startswith(name) and what in one for one in sentences), sentences


def test_without_them_there_is_none() -> None:
    assert found(*plant(10, 10_000)) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 90), st.integers(1, 3), st.sampled_from([A, B]))))
def test_true_books_are_never_faulted(made: list[tuple[int, float, int, str]]) -> None:
    """Each call was charged once what was booked, at some time after it came."""
    attempts, log = [], Log()
    for n, (pause, lasts, amount, sha256) in enumerate(made, 1):
        began = 100 * n + pause
        attempts.append(attempt(n, began, amount * CREDIT, sha256))
        log.calls.append(Call(n, began, "ok", 200, sha256, 1))
        log.charges.append(charge(began + lasts, amount, sha256, n))
    assert found(attempts, log) == []


# Over real rows ------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    with wire.serving() as server:
        yield server


def call(world: World, server: Server, *steps: wire.Step) -> Attempt:
    """Return the attempt of a new job that is answered so."""
    job = world.job()
    for step in steps:
        server.script.append(step)
        wire.run(server)
    return job.attempts.latest("number")


def differences(log: Log) -> list[str]:
    return list(check_charges(log, match_calls(log)[0]))


def test_a_true_journal_differs_in_nothing(world: World, server: Server) -> None:
    for _ in range(3):
        call(world, server, wire.answer(charged="0.5"))
    call(world, server, wire.error(500), wire.answer(charged="0"))
    log = read_log(server.journal.path)
    assert (len(log.calls), log.total_microcredits) == (5, 3 * CREDIT // 2)
    assert differences(log) == []


def test_four_faults_in_a_journal_are_found_once(world: World, server: Server) -> None:
    """E10 in small."""
    missing, doubled, wrong, *_ = (call(world, server, wire.answer()) for _ in range(6))
    call(world, server, wire.charged_in_silence("1"))
    call(world, server, wire.no_answer)
    log = read_log(server.journal.path)
    assert differences(log) == []
    charges = [*log.charges[1:], log.charges[1], Charge(0, 5, "f" * 64, 9 * CREDIT, None)]
    charges[1] = replace(charges[1], microcredits=2 * CREDIT)
    names = [f"{one.job_id}/1" for one in (missing, doubled, wrong)]
    sentences = differences(Log(log.calls, charges))
    assert len(sentences) == 4
    for name, what in zip(
        [*names, "9"],
        [
            "1 booked, and the journal has no charge",
            "charged once more, 1 at",
            "1 booked, and the journal charged 2",
            f"at {AT_5} was charged for no attempt",
        ],
        strict=True,
    ):
        assert any(one.startswith(name) and what in one for one in sentences), sentences
