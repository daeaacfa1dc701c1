"""A log of charges against the bookings: what doesn't fit is named exactly, each once."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.ledger.money import MICROCREDITS as CREDIT
from jobs.witness import TOLERANCE_SECONDS, Booking, Charge, Kind, UnreadableLogError, compare, read

A, B = "a" * 64, "b" * 64


def booking(name: str, began: float, ended: float, credits_: float | None = 1, sha256: str = A) -> Booking:
    amount = None if credits_ is None else int(credits_ * CREDIT)
    return Booking(name, sha256, began, ended, amount, in_doubt=credits_ is None)


def charge(at: float, credits_: float = 1, sha256: str = A) -> Charge:
    return Charge(at, sha256, int(credits_ * CREDIT))


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
    "of nobody's picture": ([FIRST], [charge(5), charge(5, sha256=B)], [(Kind.NOBODYS, None)]),
    "of nobody's time": ([FIRST], [charge(5), charge(99)], [(Kind.NOBODYS, None)]),
    "released, and charged all the same": ([booking("1/1", 0, 10, 0)], [charge(5)], [(Kind.WRONG, "1/1")]),
    "released": ([booking("1/1", 0, 10, 0)], [], []),
    "in doubt, charged": ([DOUBT], [charge(2, 3)], [(Kind.CHARGED, "3/1")]),
    "in doubt, not charged": ([DOUBT], [], [(Kind.NOT_CHARGED, "3/1")]),
    "in doubt, charged twice": (
        [DOUBT],
        [charge(2), charge(3)],
        [(Kind.CHARGED, "3/1"), (Kind.DOUBLED, "3/1")],
    ),
    "still under way": ([DOUBT._replace(in_doubt=False)], [charge(2)], []),
    "the clocks differ a little": ([FIRST], [charge(10 + TOLERANCE_SECONDS)], []),
    "the clocks differ too much": (
        [FIRST],
        [charge(10.1 + TOLERANCE_SECONDS)],
        [(Kind.MISSING, "1/1"), (Kind.NOBODYS, None)],
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
        [(Kind.NOT_CHARGED, "3/1")],
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


PLANTED = [(Kind.MISSING, "100"), (Kind.DOUBLED, "200"), (Kind.WRONG, "300"), (Kind.NOBODYS, None)]


def plant(seed: int, count: int, faults: bool = True) -> tuple[list[Booking], list[Charge]]:
    """So many calls of half as many pictures, a hundred under way at a time, and E10's four faults."""
    chance = random.Random(seed)
    bookings, charges = [], []
    for number in range(count):
        began, amount, sha256 = number / 20, chance.randrange(1, 9) / 4, f"{number // 2:064x}"
        one = booking(str(number), began, began + chance.uniform(0.1, 10), amount, sha256)
        bookings.append(one)
        charges.append(charge(chance.uniform(one.began, one.ended), amount, sha256))
    if faults:
        charges[300] = charges[300]._replace(microcredits=charges[300].microcredits + 1)
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
    """Any overlap of calls of the same picture: each was charged once, in its time, what was booked."""
    bookings = [
        booking(str(number), begin, begin + lasts, amount, sha256)
        for number, (begin, lasts, _part, amount, sha256) in enumerate(calls)
    ]
    charges = [charge(begin + part * lasts, amount, sha256) for begin, lasts, part, amount, sha256 in calls]
    assert found(bookings, charges) == []


def test_each_finding_has_a_sentence() -> None:
    faults = {
        "1/1: 1 booked, and the log has no charge": compare([FIRST], []),
        "1/1: charged once more, 1 at 1970-01-01 00:00:06.000+00:00": compare(
            [FIRST], [charge(5), charge(6)]
        ),
        "1/1: 1 booked, and the log charged 2 at 1970-01-01 00:00:05.000+00:00": compare(
            [FIRST], [charge(5, 2)]
        ),
        "2.5 at 1970-01-01 00:00:05.000+00:00 was charged for no attempt": compare([], [charge(5, 2.5)]),
    }
    for sentence, findings in faults.items():
        assert [(one.says(), one.is_fault) for one in findings] == [(sentence, True)]
    news = {
        "3/1, in doubt, was charged 3 at 1970-01-01 00:00:02.000+00:00": compare([DOUBT], [charge(2, 3)]),
        "3/1, in doubt, wasn't charged": compare([DOUBT], []),
    }
    for sentence, findings in news.items():
        assert [(one.says(), one.is_fault) for one in findings] == [(sentence, False)]


def line(**values: Any) -> str:
    return json.dumps(values) + "\n"


CHARGE = {"what": "charge", "at": 5.25, "sha256": A, "microcredits": CREDIT}


def test_charges_are_read_and_other_lines_passed_over() -> None:
    lines = [
        line(what="call", n=7, at=1, sha256=None),
        line(**CHARGE, call=7, header="1.000000"),
        line(what="purchase", at=2, microcredits=5),
        line(**CHARGE | {"microcredits": 0}),
    ]
    assert list(read(lines)) == [charge(5.25)]


def test_a_torn_last_line_was_not_written() -> None:
    assert list(read([line(**CHARGE), line(**CHARGE)[:-9]])) == [charge(5.25)]


@pytest.mark.parametrize(
    "bad", ["{\n", "[]\n", "7\n", line(what="charge"), line(**CHARGE | {"at": "noon"}), line(at=5)]
)
def test_any_other_line_that_cannot_be_read_is_told(bad: str) -> None:
    with pytest.raises(UnreadableLogError, match="line 2 can't be read"):
        list(read([line(**CHARGE), bad, line(**CHARGE)]))
