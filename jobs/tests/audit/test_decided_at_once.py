"""Two people decide one thing at once, each on what they saw before the other: one wins, the other is told.

Each has its control, without the guard, in which both win or one fails halfway.
"""

import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.credits import adjustments
from accounts.credits.adjustments import AlreadyDecidedError, Change
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import AlreadyResolvedError
from accounts.models import Adjustment, AuditEntry, User
from accounts.tests.at_once import at_once
from conftest import World
from jobs.audit import purchases, review, verify
from jobs.audit.purchases import AlreadyEnteredError
from jobs.audit.reconcile import book, settle
from jobs.audit.reconcile.account import between
from jobs.calls import accounts, attempts
from jobs.calls.attempts import WrongStateError
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot, Purchase, UpstreamAccount
from jobs.tests.audit.test_balance_book import balance, call, let_time_pass, paid
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server, charged_in_silence

__all__ = ["paid"]

pytestmark = pytest.mark.both_databases

MOMENT = timezone.now()
Decide = Callable[[User], Any]


@dataclass(frozen=True)
class Thing:
    """What is decided. prepare: returns how the first and the second person decide, on the same knowledge.

    action: under which the audit log has the decision. unguarded: takes out what refuses the second one.
    """

    prepare: Callable[[World, Server], tuple[Decide, Decide]]
    action: str
    late: type[Exception]
    unguarded: Callable[[pytest.MonkeyPatch], Any]


@pytest.fixture
def world(committed_world: World) -> World:
    """Visible to the threads of both."""
    return committed_world


def staff(name: str) -> User:
    return User.objects.create_user(f"{name}@example.org", is_staff=True)


def _call_in_doubt(world: World, server: Server) -> tuple[Decide, Decide]:
    """One says that it was charged, the other that it wasn't."""
    pk = in_doubt(world, server).pk
    first, second = (Attempt.objects.select_related("job__team", "hold").get(pk=pk) for _ in range(2))
    return (
        lambda person: review.resolve(first, CREDIT, person, "the invoice says so"),
        lambda person: review.resolve(second, 0, person, "they told me"),
    )


def _period(world: World, server: Server) -> tuple[Decide, Decide]:
    """Both book what the balance says of a call in doubt."""
    balance(server)
    call(world, server, charged_in_silence("0.6"))
    let_time_pass()
    balance(server)
    let_time_pass()
    row = BalancePeriod.objects.select_related("opening", "closing").get()
    first, second = (between(row.opening, row.closing) for _ in range(2))
    assert len(first.decisions) == 1

    def settled(period: Any) -> Decide:
        def decide(person: User) -> None:
            (said,) = settle.settle([period], person)
            if "by someone else in the meantime" in said:
                raise WrongStateError(said)
            assert "0.6 charged" in said

        return decide

    return settled(first), settled(second)


def _adjustment(world: World, server: Server) -> tuple[Decide, Decide]:
    """Both approve what waits for a second person."""
    change = Change(world.team, Adjustment.Kind.ADJUST, 11 * CREDIT, "blank pictures", "adjust:1")
    waiting = adjustments.make(change, staff("asked"))
    assert waiting
    rows = Adjustment.objects.select_related("team", "asked_by")
    first, second = (rows.get(pk=waiting.pk) for _ in range(2))
    return lambda person: adjustments.approve(first, person), lambda person: adjustments.approve(
        second, person
    )


def _purchase(world: World, server: Server) -> tuple[Decide, Decide]:
    """One form is sent twice."""
    account, token = UpstreamAccount.objects.get(pk=accounts.current_id()), uuid4()

    def decide(person: User) -> None:
        purchases.enter(account, MOMENT, 50 * CREDIT, "a pack", person, token)

    return decide, decide


def decided_again(patch: pytest.MonkeyPatch) -> None:
    """Move an attempt whatever its state, and settle its hold whether or not that was done."""

    def move(attempt: Attempt, _expected: str, state: str, **changes: Any) -> None:
        Attempt.objects.filter(pk=attempt.pk).update(state=state, **changes)

    def settle_again(*arguments: Any, real: Any = ledger.settle, **more: Any) -> Any:
        with suppress(AlreadyResolvedError):
            return real(*arguments, **more)
        return timezone.now()

    patch.setattr(attempts, "_move", move)
    patch.setattr(ledger, "settle", settle_again)


def _approved_again(patch: pytest.MonkeyPatch) -> None:
    """Close an adjustment whether or not it waits, and post it under a key of each person's own."""

    def close(adjustment: Adjustment, actor: User, **values: Any) -> None:
        Adjustment.objects.filter(pk=adjustment.pk).update(decided_by=actor, decided_at=MOMENT, **values)

    def post(change: Change, reason: str, actor: User, *more: Any, real: Any = adjustments._post) -> None:
        real(replace(change, key=f"{change.key}:{actor.pk}"), reason, actor, *more)

    patch.setattr(adjustments, "_close", close)
    patch.setattr(adjustments, "_post", post)


def _entered_again(patch: pytest.MonkeyPatch) -> None:
    """Enter a purchase under a token of each person's own."""

    def enter(*arguments: Any, real: Any = purchases._enter) -> Purchase:
        entered: Purchase = real(*arguments[:-1], uuid4())
        return entered

    patch.setattr(purchases, "_enter", enter)


THINGS = {
    "call in doubt": Thing(_call_in_doubt, "resolve", WrongStateError, decided_again),
    "period": Thing(_period, "resolve", WrongStateError, decided_again),
    "adjustment": Thing(_adjustment, "approve", AlreadyDecidedError, _approved_again),
    "purchase": Thing(_purchase, "purchase", AlreadyEnteredError, _entered_again),
}


@pytest.fixture(params=THINGS)
def thing(request: pytest.FixtureRequest, settings: Settings) -> Thing:
    settings.SECOND_REVIEW_MICROCREDITS = 10 * CREDIT
    return THINGS[request.param]


def decide_at_once(thing: Thing, world: World, server: Server) -> list[str]:
    """Return what came of two decisions, each by another of the staff."""
    ways, people = thing.prepare(world, server), [staff("first"), staff("second")]
    return at_once(2, lambda number: ways[number](people[number]), thing.late)


def look_first(patch: pytest.MonkeyPatch, module: Any) -> None:
    """Let two threads wait for each other before either begins the module's transaction."""
    meet = threading.Barrier(2, timeout=30)

    def atomic() -> Any:
        meet.wait()
        return transaction.atomic()

    patch.setattr(module, "transaction", SimpleNamespace(atomic=atomic))


def decisions(thing: Thing) -> int:
    return AuditEntry.objects.filter(action=thing.action).count()


def test_of_two_at_once_one_decides(
    world: World, paid: Server, thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_first(monkeypatch, purchases)
    assert decide_at_once(thing, world, paid) == ["done", "too late"]
    assert decisions(thing) == 1
    assert not verify.run(quick=True).findings


def test_without_the_guard_both_decide(
    world: World, paid: Server, thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    thing.unguarded(monkeypatch)
    assert decide_at_once(thing, world, paid) == ["done", "done"]
    assert decisions(thing) == 2


@pytest.fixture
def account(world: World, paid: Server) -> int:
    """The settings' account, with its first balance."""
    pk, earlier = accounts.current_id(), MOMENT - timedelta(hours=1)
    book.close(pk, earlier, earlier, 100 * CREDIT, {})
    return pk


def close_two_at_once(account: int) -> list[str]:
    """Let two workers store a balance each."""
    return at_once(2, lambda _: book.close(account, MOMENT, MOMENT, 99 * CREDIT, {}), IntegrityError)


def chain() -> list[tuple[int, int]]:
    return list(BalancePeriod.objects.order_by("pk").values_list("opening", "closing"))


def test_two_balances_at_once_follow_each_other(account: int, monkeypatch: pytest.MonkeyPatch) -> None:
    look_first(monkeypatch, book)
    assert close_two_at_once(account) == ["done", "done"]
    first, second, third = BalanceSnapshot.objects.order_by("pk").values_list("pk", flat=True)
    assert chain() == [(first, second), (second, third)]


def test_without_the_lock_one_of_them_ends_no_period(account: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: both follow the same balance, and one is left without its period."""
    meet, find = threading.Barrier(2, timeout=30), book._last_in_chain

    def last_in_chain(account_id: int) -> BalanceSnapshot | None:
        last = find(account_id)
        meet.wait()
        return last

    rows = UpstreamAccount.objects
    monkeypatch.setattr(rows, "select_for_update", lambda **_: rows)
    monkeypatch.setattr(book, "transaction", SimpleNamespace(atomic=nullcontext))
    monkeypatch.setattr(book, "_last_in_chain", last_in_chain)
    assert close_two_at_once(account) == ["done", "too late"]
    assert (BalanceSnapshot.objects.count(), len(chain())) == (3, 1)
