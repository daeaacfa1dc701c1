"""Balances are taken, and the periods between the quiet ones are judged. What is decided is always true."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World
from jobs.audit import balance_snapshots
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.calls import Call, calls, longest
from jobs.audit.reconcile.periods import Outcome, Period, Statement, statement
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, BalanceSnapshot, Purchase
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian.protocol import errors

pytestmark = pytest.mark.both_databases

ACCOUNT, OTHER = 1, 2
State = Attempt.State


def at(second: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


def snapshot(second: float, credits_: float, account: int = ACCOUNT) -> BalanceSnapshot:
    """Return a balance that was asked for at this second and came one second later."""
    amount = int(Decimal(str(credits_)) * CREDIT)
    return BalanceSnapshot(
        account_id=account, asked_at=at(second), came_at=at(second + 1), microcredits=amount
    )


def call(pk: int, began: float, ended: float, known: float | None = None, **more: Any) -> Call:
    values: dict[str, Any] = {
        "state": State.IN_DOUBT if known is None else State.BOOKED,
        "status": 200,
        "held": CREDIT,
    }
    values |= {"decided": False} | more
    micro = None if known is None else int(Decimal(str(known)) * CREDIT)
    return Call(pk, f"{pk}/1", began=at(began), ended=at(ended), known=micro, **values)


def failed(pk: int, began: float, ended: float) -> Call:
    return call(pk, began, ended, state=State.RELEASED, status=500)


def purchase(second: float, credits_: int) -> Purchase:
    return Purchase(account_id=ACCOUNT, bought_at=at(second), microcredits=credits_ * CREDIT)


def told(
    snapshots: Iterable[BalanceSnapshot], happened: Iterable[Call] = (), bought: Iterable[Purchase] = ()
) -> Statement:
    return statement(ACCOUNT, snapshots, happened, bought)


def judged(closing: float, *happened: Call, bought: Iterable[Purchase] = ()) -> Period:
    """Return the only period of an account that starts with 100 credits."""
    (period,) = told([snapshot(0, 100), snapshot(1000, closing)], happened, bought).periods
    return period


BOOKED = call(1, 10, 20, known=2)
CASES = {
    "all is known": (judged(98, BOOKED), Outcome.AGREES, {}),
    "none of two in doubt was charged": (
        judged(98, BOOKED, call(2, 30, 40), call(3, 50, 60)),
        Outcome.AGREES,
        {2: 0, 3: 0},
    ),
    "the one in doubt was charged": (
        judged(97.25, BOOKED, call(2, 30, 40)),
        Outcome.PINNED,
        {2: CREDIT * 3 // 4},
    ),
    "it was charged all that was held": (judged(97, BOOKED, call(2, 30, 40)), Outcome.PINNED, {2: CREDIT}),
    "more than was held for it": (judged(96, BOOKED, call(2, 30, 40)), Outcome.PERSON, {}),
    "one of two": (judged(97, BOOKED, call(2, 30, 40), call(3, 50, 60)), Outcome.PERSON, {}),
    "more there than expected": (judged(99, BOOKED, call(2, 30, 40)), Outcome.PERSON, {}),
    "nobody to have cost it": (judged(97, BOOKED), Outcome.PERSON, {}),
    "a server error may have cost it": (judged(97, BOOKED, failed(2, 30, 40)), Outcome.PERSON, {}),
    "in doubt, but a server error too": (
        judged(97, BOOKED, call(2, 30, 40), failed(3, 50, 60)),
        Outcome.PERSON,
        {},
    ),
    "not charged, nor was the server error": (
        judged(98, BOOKED, call(2, 30, 40), failed(3, 50, 60)),
        Outcome.AGREES,
        {2: 0},
    ),
    "answered, and under way no more": (
        judged(97, BOOKED, call(2, 30, 40, state=State.ANSWERED)),
        Outcome.PINNED,
        {},
    ),
    "in doubt, and charged as its late answer says": (
        judged(97, BOOKED, call(2, 30, 40, known=1, state=State.IN_DOUBT)),
        Outcome.AGREES,
        {2: CREDIT},
    ),
    "in doubt, and the balance knows nothing of its late answer's charge": (
        judged(98, BOOKED, call(2, 30, 40, known=1, state=State.IN_DOUBT)),
        Outcome.PERSON,
        {},
    ),
    "a late answer, and one in doubt beside it": (
        judged(96.5, BOOKED, call(2, 30, 40, known=1, state=State.IN_DOUBT), call(3, 50, 60)),
        Outcome.PINNED,
        {2: CREDIT, 3: CREDIT // 2},
    ),
    "a purchase": (judged(148, BOOKED, bought=[purchase(500, 50)]), Outcome.AGREES, {}),
    "what expired": (judged(93, BOOKED, bought=[purchase(500, -5)]), Outcome.AGREES, {}),
    "a purchase after the period": (judged(98, BOOKED, bought=[purchase(2000, 50)]), Outcome.AGREES, {}),
}


@pytest.mark.parametrize(("period", "outcome", "decided"), CASES.values(), ids=CASES)
def test_a_period_is_judged(period: Period, outcome: Outcome, decided: dict[int, int]) -> None:
    assert period.outcome == outcome
    assert {found.pk: charged for found, charged in period.decisions} == decided


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("all is known", "Nothing is missing."),
        ("none of two in doubt was charged", "Nothing is missing, so this wasn't charged: 2/1, 3/1."),
        ("the one in doubt was charged", "0.75 is missing, and only 2/1 can have been charged that."),
        ("one of two", "1 is missing, and it isn't certain what it went for: 2/1, 3/1 (in doubt, 2 held)."),
        ("in doubt, but a server error too", "3/1 (probably not charged, as a server error answered)"),
        ("a server error may have cost it", "2/1 (probably not charged, as a server error answered)"),
        ("nobody to have cost it", "no attempt explains it"),
        ("more there than expected", "1 is there that nothing explains"),
    ],
)
def test_it_says_so_in_a_sentence(case: str, words: str) -> None:
    assert words in CASES[case][0].says()


def test_what_was_decided_before_is_named_where_something_is_missing() -> None:
    period = judged(97, call(2, 30, 40, known=2, decided=True))
    assert "2/1 (decided by a person or an earlier balance)" in period.says()


def test_of_many_the_first_are_named() -> None:
    period = judged(99, *(call(pk, pk, pk) for pk in range(2, 32)))
    assert "21/1 and 10 more" in period.says()


BUSY = {
    "a call goes on": ([call(1, 490, 510, known=1)], []),
    "a call begins meanwhile": ([call(1, 500.5, 510, known=1)], []),
    "a call ends meanwhile": ([call(1, 490, 500.5, known=1)], []),
    "a call ends just then": ([call(1, 490, 500, known=1)], []),
    "a long call began before a short one": ([call(1, 10, 510, known=0), call(2, 20, 30, known=1)], []),
    "a purchase just then": ([call(1, 10, 20, known=1)], [purchase(500.5, 5), purchase(700, -5)]),
}


@pytest.mark.parametrize(("happened", "bought"), BUSY.values(), ids=BUSY)
def test_a_balance_of_a_busy_moment_bounds_nothing(happened: list[Call], bought: list[Purchase]) -> None:
    found = told([snapshot(0, 100), snapshot(500, 55), snapshot(1000, 99)], happened, bought)
    assert (len(found.periods), found.unused) == (1, 1)
    assert found.periods[0].outcome == Outcome.AGREES


def test_periods_follow_each_other() -> None:
    happened = [call(1, 10, 499, known=1), call(2, 502, 999)]
    found = told([snapshot(0, 100), snapshot(500, 99), snapshot(1000, 98.5), snapshot(1500, 98.5)], happened)
    assert [period.outcome for period in found.periods] == [Outcome.AGREES, Outcome.PINNED, Outcome.AGREES]


def test_another_account_begins_anew() -> None:
    found = told([snapshot(0, 100), snapshot(500, 7, OTHER), snapshot(1000, 90), snapshot(1500, 90)])
    (period,) = found.periods
    assert (period.opening.asked_at, period.outcome) == (at(1000), Outcome.AGREES)


# What really happened: (begin, how long, when in between it was charged, how much, kind), times in seconds.
REAL_CALLS = st.lists(
    st.tuples(
        st.integers(0, 80),
        st.integers(0, 20),
        st.floats(0, 1),
        st.integers(0, 3),
        st.sampled_from(["known", "doubt", "failed"]),
    ),
    max_size=6,
)
REAL_BALANCES = st.lists(st.tuples(st.integers(0, 110), st.integers(0, 5), st.floats(0, 1)), max_size=5)


def replay(
    real_calls: list[Any],
    real_balances: list[Any],
    blink: bool = False,
    bought: list[tuple[float, int]] | None = None,
    extra: tuple[float, int] = (0, 0),
) -> tuple[Statement, dict[int, int]]:
    """Return what our rows would be, and what each call really cost.

    ``blink``: as if a call took no time. ``bought``: purchases, in micro-credits. ``extra``: a charge of
    nobody's.
    """
    rows, cost, moments = [], {}, [extra, *((when, -amount) for when, amount in bought or ())]
    for pk, (begin, lasts, part, charged, kind) in enumerate(sorted(real_calls), 1):
        end = begin if blink else begin + lasts
        cost[pk] = charged
        moments.append((begin + part * lasts, charged))
        made = {"known": call(pk, begin, end, known=charged / CREDIT), "doubt": call(pk, begin, end, held=3)}
        rows.append(made.get(kind) or failed(pk, begin, end))
    taken = []
    for asked, lasts, part in real_balances:
        moment = asked + part * lasts
        left = 1000 - sum(charged for when, charged in moments if when <= moment)
        taken.append(
            BalanceSnapshot(
                account_id=ACCOUNT, asked_at=at(asked), came_at=at(asked + lasts), microcredits=left
            )
        )
    taken.sort(key=lambda row: row.came_at)
    entered = [
        Purchase(account_id=ACCOUNT, bought_at=at(when), microcredits=amount)
        for when, amount in sorted(bought or ())
    ]
    return told(taken, rows, entered), cost


def wrong_decisions(found: Statement, cost: dict[int, int]) -> list[int]:
    decisions = [decision for period in found.periods for decision in period.decisions]
    return [decided.pk for decided, charged in decisions if cost[decided.pk] != charged]


@given(REAL_CALLS, REAL_BALANCES)
def test_what_is_decided_is_true(real_calls: list[Any], real_balances: list[Any]) -> None:
    found, cost = replay(real_calls, real_balances)
    assert wrong_decisions(found, cost) == []


def test_without_the_quiet_it_would_not_be() -> None:
    """The control: a call whose time isn't looked at is charged after the balance that should hold it."""
    real_calls = [(10, 20, 0.9, 2, "doubt")]
    real_balances = [(0, 1, 0.5), (15, 1, 0.5), (50, 1, 0.5)]
    assert wrong_decisions(*replay(real_calls, real_balances)) == []
    assert wrong_decisions(*replay(real_calls, real_balances, blink=True)) == [1]


def test_a_balance_is_asked_for_and_kept(world: World, server: Server, settings: Settings) -> None:
    settings.PIXIAN_API_URL = server.url
    before = timezone.now()
    taken = balance_snapshots.take(server.upstream)
    assert taken == BalanceSnapshot.objects.get()
    assert (taken.account.upstream, taken.microcredits) == (server.url, 100 * CREDIT)
    assert before <= taken.asked_at <= taken.came_at <= timezone.now()
    assert taken.answer["state"] == "active"


def test_the_embedded_engine_has_no_balance(world: World, server: Server) -> None:
    assert balance_snapshots.take(Upstream(server.upstream.client, charges=False)) is None
    assert not BalanceSnapshot.objects.exists()


def test_an_account_that_does_not_answer_leaves_nothing(world: World, server: Server) -> None:
    server.account_status = 401
    with pytest.raises(errors.AccountRefused):
        balance_snapshots.take(server.upstream)
    assert not BalanceSnapshot.objects.exists()


@pytest.mark.parametrize(
    ("step", "quiet"),
    [
        (wire.answer(), True),
        (wire.error(400, 1006, "no"), True),
        (wire.error(500), False),
        (wire.no_answer, False),
    ],
    ids=["answered", "refused", "failed", "cut"],
)
def test_it_is_quiet_once_nothing_can_be_charged_any_more(
    world: World, server: Server, step: wire.Step, quiet: bool
) -> None:
    world.job()
    assert balance_snapshots.is_quiet()
    server.script.append(step)
    run(server)
    assert balance_snapshots.is_quiet() == quiet
    Attempt.objects.filter(number=1).update(sent_at=timezone.now() - longest())
    assert balance_snapshots.is_quiet()


def sent(world: World, server: Server, step: wire.Step) -> Call:
    """Return the last call's row after this response."""
    world.job()
    server.script.append(step)
    run(server)
    return list(calls(Attempt.objects.all()))[-1]


def test_an_answered_call_took_until_its_answer(world: World, server: Server) -> None:
    row = sent(world, server, wire.answer())
    attempt = Attempt.objects.get()
    assert (row.began, row.ended, row.known) == (attempt.sent_at, attempt.answered_at, CREDIT)
    assert (row.in_doubt, row.failed, row.decided) == (False, False, False)


@pytest.mark.parametrize("step", [wire.no_answer, wire.error(504)], ids=["cut", "gateway"])
def test_one_that_nobody_answered_may_still_be_charged_for_a_while(
    world: World, server: Server, step: wire.Step
) -> None:
    row = sent(world, server, step)
    assert row.ended == row.began + longest()
    assert row.in_doubt


def test_a_server_error_without_a_header_is_a_suspect(world: World, server: Server) -> None:
    row = sent(world, server, wire.error(500))
    assert row.failed
    assert row.ended == row.began + longest()


def test_the_answer_to_an_earlier_sending_is_none(world: World, server: Server) -> None:
    """After a 429 the same attempt is sent again."""
    server.script.append(wire.error(429, 1015, "slow down"))
    world.job()
    run(server)
    assert not list(calls(Attempt.objects.all()))
    server.script.append(wire.no_answer)
    run(server)
    (row,) = calls(Attempt.objects.all())
    assert row.ended == row.began + longest()


def test_without_a_balance_no_attempt_is_read(world: World, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert balances() == Statement()
