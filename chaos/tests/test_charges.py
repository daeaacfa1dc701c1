"""Charges are compared with bookings: what doesn't fit is named exactly, each once."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.ledger.money import MICROCREDITS as CREDIT
from chaos.checker.charges import TOLERANCE_SECONDS, Booking, Kind, bookings, compare
from chaos.upstream import Charge
from conftest import World
from jobs.models import Attempt
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server

A, B = "a" * 64, "b" * 64


def booking(name: str, began: float, ended: float, credits_: float | None = 1, sha256: str = A) -> Booking:
    amount = None if credits_ is None else int(credits_ * CREDIT)
    return Booking(name, sha256, began, ended, amount)


def charge(at: float, credits_: float = 1, sha256: str = A) -> Charge:
    return Charge(0, at, sha256, int(credits_ * CREDIT), None)


def found(bookings: list[Booking], charges: list[Charge]) -> list[tuple[Kind, str | None]]:
    return [(one.kind, one.booking and one.booking.name) for one in compare(bookings, charges)]


FIRST, SECOND = booking("1/1", 0, 10), booking("2/1", 12, 20)
DOUBT = booking("3/1", 0, 500, None)
CASES: dict[str, tuple[list[Booking], list[Charge], list[tuple[Kind, str | None]]]] = {
    "nothing": ([], [], []),
    "all fits": ([FIRST, SECOND], [charge(5), charge(15)], []),
    "missing": ([FIRST], [], [(Kind.MISSING, "1/1")]),
    "doubled": ([FIRST], [charge(5), charge(6)], [(Kind.DOUBLED, "1/1")]),
    "charged three times": ([FIRST], [charge(5), charge(6), charge(7)], [(Kind.DOUBLED, "1/1")] * 2),
    "wrong amount": ([FIRST], [charge(5, 2)], [(Kind.WRONG, "1/1")]),
    "of nobody's picture": ([FIRST], [charge(5), charge(5, sha256=B)], [(Kind.UNKNOWN, None)]),
    "of nobody's time": ([FIRST], [charge(5), charge(99)], [(Kind.UNKNOWN, None)]),
    "released, and charged all the same": ([booking("1/1", 0, 10, 0)], [charge(5)], [(Kind.WRONG, "1/1")]),
    "released": ([booking("1/1", 0, 10, 0)], [], []),
    "in doubt, charged": ([DOUBT], [charge(2, 3)], []),
    "in doubt, not charged": ([DOUBT], [], []),
    "in doubt, charged twice": ([DOUBT], [charge(2), charge(3)], [(Kind.DOUBLED, "3/1")]),
    "the clocks differ a little": ([FIRST], [charge(10 + TOLERANCE_SECONDS)], []),
    "the clocks differ too much": (
        [FIRST],
        [charge(10.1 + TOLERANCE_SECONDS)],
        [(Kind.MISSING, "1/1"), (Kind.UNKNOWN, None)],
    ),
    "the same picture again, the first missing": ([FIRST, SECOND], [charge(15)], [(Kind.MISSING, "1/1")]),
    "the same picture again, the second missing": ([FIRST, SECOND], [charge(5)], [(Kind.MISSING, "2/1")]),
    "the same picture again, one doubled, one missing": (
        [FIRST, SECOND],
        [charge(5), charge(9)],
        [(Kind.DOUBLED, "1/1"), (Kind.MISSING, "2/1")],
    ),
    "the same picture at once, told apart by the amount": (
        [booking("1/1", 0, 10, 1), booking("2/1", 0, 10, 2)],
        [charge(4, 2), charge(5, 1)],
        [],
    ),
    "a call in doubt leaves the others theirs": (
        [DOUBT, booking("4/1", 100, 101)],
        [charge(100.5)],
        [],
    ),
    "a long call leaves a short one its charge": (
        [booking("1/1", 0, 100), booking("2/1", 10, 12)],
        [charge(11), charge(50)],
        [],
    ),
}


@pytest.mark.parametrize(("bookings", "charges", "expected"), CASES.values(), ids=CASES)
def test_each_is_named_once(
    bookings: list[Booking], charges: list[Charge], expected: list[tuple[Kind, str | None]]
) -> None:
    assert sorted(map(str, found(bookings, charges))) == sorted(map(str, expected))


PLANTED = [(Kind.MISSING, "100"), (Kind.DOUBLED, "200"), (Kind.WRONG, "300"), (Kind.UNKNOWN, None)]


def plant(seed: int, count: int, faults: bool = True) -> tuple[list[Booking], list[Charge]]:
    """Make so many calls of half as many pictures, a hundred at a time, with E10's four faults."""
    chance = random.Random(seed)
    bookings, charges = [], []
    for number in range(count):
        began, amount, sha256 = number / 20, chance.randrange(1, 9) / 4, f"{number // 2:064x}"
        one = booking(str(number), began, began + chance.uniform(0.1, 10), amount, sha256)
        bookings.append(one)
        charges.append(charge(chance.uniform(one.began, one.ended), amount, sha256))
    if faults:
        charges[300] = replace(charges[300], microcredits=charges[300].microcredits + 1)
        charges.append(charge(bookings[200].ended, 9, bookings[200].sha256))
        charges.append(charge(count / 40, 1, B))
        del charges[100]
    chance.shuffle(charges)
    return bookings, charges


def test_four_faults_in_a_hundred_thousand() -> None:
    """E10."""
    assert sorted(map(str, found(*plant(10, 100_000)))) == sorted(map(str, PLANTED))


def test_without_them_there_is_none() -> None:
    assert found(*plant(10, 10_000, faults=False)) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.integers(0, 20),
            st.floats(0, 1),
            st.integers(1, 3),
            st.sampled_from([A, B]),
        ),
        max_size=12,
    )
)
def test_true_books_are_never_faulted(calls: list[tuple[int, int, float, int, str]]) -> None:
    """Calls of the same picture may overlap: each was charged once, in its time, what was booked."""
    bookings = [
        booking(str(number), begin, begin + lasts, amount, sha256)
        for number, (begin, lasts, _part, amount, sha256) in enumerate(calls)
    ]
    charges = [charge(begin + part * lasts, amount, sha256) for begin, lasts, part, amount, sha256 in calls]
    assert found(bookings, charges) == []


def test_each_finding_has_a_sentence() -> None:
    faults = {
        "1/1: 1 booked, and the journal has no charge": compare([FIRST], []),
        "1/1: charged once more, 1 at 1970-01-01 00:00:06.000+00:00": compare(
            [FIRST], [charge(5), charge(6)]
        ),
        "1/1: 1 booked, and the journal charged 2 at 1970-01-01 00:00:05.000+00:00": compare(
            [FIRST], [charge(5, 2)]
        ),
        "2.5 at 1970-01-01 00:00:05.000+00:00 was charged for no attempt": compare([], [charge(5, 2.5)]),
    }
    for sentence, findings in faults.items():
        assert list(map(str, findings)) == [sentence]


def test_a_charge_of_nothing_is_passed_over() -> None:
    assert compare([], [charge(5, 0)]) == []


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


def charge_for(attempt: Attempt, microcredits: int) -> Charge:
    """Charge an attempt in the middle of its time."""
    assert attempt.sent_at
    return Charge(0, attempt.sent_at.timestamp() + 0.001, attempt.job.source_sha256, microcredits, None)


def spread(attempts: list[Attempt]) -> None:
    """Set them half an hour apart each, since they are all of the same picture."""
    for number, attempt in enumerate(attempts, 1):
        attempt.refresh_from_db()
        assert attempt.sent_at
        earlier = timedelta(minutes=30 * number)
        attempt.sent_at -= earlier
        attempt.answered_at = attempt.answered_at and attempt.answered_at - earlier
        attempt.save()


def test_a_true_journal_differs_in_nothing(world: World, server: Server) -> None:
    attempts = [call(world, server, wire.answer(charged="0.5")) for _ in range(3)]
    call(world, server, wire.error(500), wire.answer(charged="0"))
    assert compare(bookings(), [charge_for(attempt, CREDIT // 2) for attempt in attempts]) == []


def test_four_faults_in_a_journal_are_found_once(world: World, server: Server) -> None:
    """E10 in small."""
    attempts = [call(world, server, wire.answer()) for _ in range(6)]
    in_doubt = [call(world, server, wire.no_answer) for _ in range(2)]
    spread(attempts + in_doubt)
    missing, doubled, wrong, *others = attempts
    charges = [charge_for(attempt, CREDIT) for attempt in [doubled, doubled, *others, in_doubt[0]]]
    charges += [charge_for(wrong, 2 * CREDIT), Charge(0, 5, "f" * 64, 9, None)]
    found = [
        (one.kind, one.booking and one.booking.name, one.charge and one.charge.microcredits)
        for one in compare(bookings(), charges)
    ]
    assert set(found) == {
        (Kind.DOUBLED, f"{doubled.job_id}/1", CREDIT),
        (Kind.MISSING, f"{missing.job_id}/1", None),
        (Kind.UNKNOWN, None, 9),
        (Kind.WRONG, f"{wrong.job_id}/1", 2 * CREDIT),
    }
    assert len(found) == 4
