"""A balance amid calls ends a period that has bounds; the span between two quiet ones is exact."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accounts.ledger.money import MICROCREDITS as CREDIT
from jobs.audit.reconcile.calls import Call
from jobs.audit.reconcile.periods import Outcome, Period
from jobs.tests.audit.test_balance_snapshots import BOOKED, call, purchase, replay, snapshot, told

# (begin, how long, when in between it was charged, how much, kind), in seconds and micro-credits.
CALLS = st.tuples(st.integers(0, 90), st.integers(0, 25), st.floats(0, 1), st.integers(0, 3))
KNOWN = st.lists(st.tuples(CALLS, st.just("known")), max_size=8)
MIXED = st.lists(st.tuples(CALLS, st.sampled_from(["known", "doubt"])), max_size=8)
BALANCES = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 3), st.floats(0, 1)), min_size=2, max_size=8
)
BOUGHT = st.lists(st.tuples(st.floats(0, 120), st.sampled_from([-5, 7, 40])), max_size=3)
MORE_THAN_ALL = 1000


def flat(calls: list[Any]) -> list[Any]:
    return [(*figures, kind) for figures, kind in calls]


def steps(closings: list[tuple[float, float]], *happened: Call, **more: Any) -> list[Period]:
    """Return the periods of an account that starts with 100 credits, between balances at these seconds."""
    return told([snapshot(0, 100), *(snapshot(*each) for each in closings)], happened, **more).steps


FLYING = call(2, 490, 510, known=1)


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        (98, Outcome.POSSIBLE),  # charged after the balance
        (97, Outcome.POSSIBLE),  # before it
        (97.5, Outcome.POSSIBLE),
        (98.1, Outcome.PERSON),
        (96.9, Outcome.PERSON),
    ],
)
def test_a_call_under_way_may_be_charged_before_or_after_the_balance(first: float, outcome: Outcome) -> None:
    begin, end = steps([(500, first), (1000, 97)], BOOKED, FLYING)
    assert (begin.outcome, end.outcome) == (outcome, outcome)
    assert (len(begin.flying_in), len(begin.flying_out)) == (0, 1)
    assert (len(end.flying_in), len(end.flying_out)) == (1, 0)
    assert (begin.activity.calls, end.activity.calls) == (2, 0)


def test_over_the_busy_balance_it_cancels() -> None:
    found = told([snapshot(0, 100), snapshot(500, 97.5), snapshot(1000, 96.5)], [BOOKED, FLYING])
    (span,) = found.periods
    assert (span.missing, span.outcome) == (CREDIT // 2, Outcome.PERSON)
    assert [step.outcome for step in found.steps] == [Outcome.POSSIBLE, Outcome.POSSIBLE]
    assert found.judged == [span]


def test_while_no_quiet_balance_follows_the_busy_one_is_judged_by_its_bounds() -> None:
    found = told([snapshot(0, 100), snapshot(500, 96)], [BOOKED, FLYING])
    assert not found.periods
    (period,) = found.judged
    assert (period.outcome, period.decisions) == (Outcome.PERSON, [])


def test_a_call_that_flies_over_a_whole_period_may_be_charged_in_it() -> None:
    long = call(1, 10, 1100, known=2)
    outcomes = {
        middle: [period.outcome for period in steps([(500, 100), (1000, middle), (1500, 98)], long)]
        for middle in (100, 98, 97)
    }
    assert outcomes[100] == outcomes[98] == [Outcome.POSSIBLE] * 3
    assert outcomes[97] == [Outcome.POSSIBLE, Outcome.PERSON, Outcome.PERSON]


def test_one_in_doubt_that_was_under_way_is_decided_by_the_span_alone() -> None:
    lost = call(2, 490, 510)
    found = told([snapshot(0, 100), snapshot(500, 98), snapshot(1000, 97.4)], [BOOKED, lost])
    assert [step.decisions for step in found.steps] == [[], []]
    assert [period.decisions for period in found.periods] == [[(lost, CREDIT * 6 // 10)]]


def test_a_purchase_just_then_may_count_on_either_side() -> None:
    for middle in (98, 148):
        found = steps([(500, middle), (1000, 148)], BOOKED, bought=[purchase(500.5, 50)])
        assert [period.outcome for period in found] == [Outcome.POSSIBLE] * 2


def test_of_two_balances_at_once_the_second_bounds_nothing() -> None:
    found = told([snapshot(0, 100), snapshot(0.5, 100), snapshot(1000, 98)], [BOOKED])
    assert (len(found.steps), found.unused) == (1, 1)


@given(MIXED, BALANCES, BOUGHT)
def test_what_is_true_is_never_unexplained(calls: list[Any], balances: list[Any], bought: list[Any]) -> None:
    found, _cost = replay(flat(calls), balances, bought=bought)
    assert all(period.is_possible for period in (*found.steps, *found.periods))


@given(MIXED, BALANCES, st.integers(0, 122))
def test_a_charge_beyond_the_bounds_is_found_in_its_period(
    calls: list[Any], balances: list[Any], second: int
) -> None:
    found, _cost = replay(flat(calls), balances, extra=(second + 0.25, MORE_THAN_ALL))
    surely_in = [
        step for step in found.steps if step.opening.came_at < _moment(second + 0.25) < step.closing.asked_at
    ]
    assert [step for step in found.steps if not step.is_possible and step in surely_in] == surely_in
    assert sum(not step.is_possible for step in found.steps) <= 1


@given(KNOWN, BALANCES, st.integers(0, 122), st.integers(1, 3))
def test_the_least_charge_is_found_exactly_between_quiet_balances(
    calls: list[Any], balances: list[Any], second: int, amount: int
) -> None:
    found, _cost = replay(flat(calls), balances, extra=(second + 0.25, amount))
    moment = _moment(second + 0.25)
    around = [each for each in found.periods if each.opening.came_at < moment < each.closing.asked_at]
    assume(around)
    (span,) = around
    assert (span.missing, span.outcome) == (amount, Outcome.PERSON)
    assert all(other.missing == 0 for other in found.periods if other is not span)


def test_without_the_bounds_true_periods_would_be_accused() -> None:
    """The control: charged after the balance, and its period has too much."""
    real = [(10, 20, 0.9, 2, "known")]
    found, _cost = replay(real, [(0, 1, 0.5), (15, 1, 0.5), (50, 1, 0.5)])
    assert [step.missing for step in found.steps] == [-2, 2]
    assert all(step.is_possible for step in found.steps)


def _moment(second: float) -> Any:
    return snapshot(second, 0).asked_at
