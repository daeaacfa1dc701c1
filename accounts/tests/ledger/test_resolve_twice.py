"""E8: two settle a hold and a third releases it, at once. One of them wins, and the books tell which."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.operations import AlterField, RemoveConstraint
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from accounts.ledger import operations as ledger
from accounts.ledger import triggers
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer
from conftest import World

pytestmark = pytest.mark.both_databases

HOLDS = 100
WAYS: dict[str, Callable[[Transfer], object]] = {
    "settled below": lambda held: ledger.settle(held, CREDIT),
    "settled above": lambda held: ledger.settle(held, 3 * CREDIT),
    "released": ledger.release,
}
CHARGED = {"settled below": CREDIT, "settled above": 3 * CREDIT, "released": 0}


def make_holds(world: World, count: int) -> list[int]:
    """Make holds of two credits each, in a team that can pay for every overage too."""
    ledger.grant(world.team, 9 * CREDIT * count, key="more")
    holds = [ledger.hold(world.team, 2 * CREDIT, key=f"hold:{n}", reference=f"job:{n}") for n in range(count)]
    return [held.pk for held in holds]


def end_all_three_ways(holds: list[int]) -> list[set[str]]:
    """End each hold by three connections at once; return the ways that won, hold by hold."""
    won: list[set[str]] = [set() for _ in holds]
    meet = threading.Barrier(len(WAYS), timeout=60)

    def end(name: str) -> None:
        try:
            for pk, winners in zip(holds, won, strict=True):
                held = Transfer.objects.get(pk=pk)
                meet.wait()
                with suppress(ledger.AlreadyResolvedError, ledger.InsufficientCreditsError):
                    WAYS[name](held)
                    winners.add(name)
        except Exception:
            meet.abort()
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(len(WAYS)) as pool:
        list(pool.map(end, WAYS))
    return won


def test_a_hold_ends_one_way_however_many_try_at_once(committed_world: World) -> None:
    world = committed_world
    had = ledger.balances(world.team).available + 9 * CREDIT * HOLDS
    won = end_all_three_ways(make_holds(world, HOLDS))

    assert [len(winners) for winners in won] == [1] * HOLDS
    spent = sum(CHARGED[name] for winners in won for name in winners)
    assert ledger.balances(world.team) == Balances(available=had - spent, spent=spent)
    assert Transfer.objects.filter(resolution="close").count() == HOLDS


ONCE = RemoveConstraint("transfer", "transfer_resolves_once")
KEY = AlterField("transfer", "idempotency_key", models.CharField(max_length=120))


@contextmanager
def without(guards: list[Operation]) -> Iterator[None]:
    """Migrate the table of transfers for a while; it is emptied at the end."""
    states = [ProjectState.from_apps(apps)]
    for guard in guards:
        states.append(states[-1].clone())
        guard.state_forwards("accounts", states[-1])
    steps = list(zip(guards, states, states[1:], strict=False))
    with connection.schema_editor() as editor:
        for guard, before, after in steps:
            guard.database_forwards("accounts", editor, before, after)
    try:
        yield
    finally:
        call_command("flush", interactive=False, verbosity=0)
        with connection.schema_editor() as editor:
            for guard, before, after in reversed(steps):
                guard.database_backwards("accounts", editor, after, before)
        triggers.guard(connection)


@pytest.mark.parametrize(("guards", "endings"), [([ONCE], 2), ([ONCE, KEY], 3)], ids=["once", "once and key"])
def test_without_its_guards_a_hold_ends_several_ways(
    committed_world: World, guards: list[Operation], endings: int
) -> None:
    """The control.

    The keys alone still refuse a second settlement, but not a release beside it. What one hold gives away
    twice is then missing for another.
    """
    with without(guards):
        won = end_all_three_ways(make_holds(committed_world, 20))
        assert max(len(winners) for winners in won) == endings
        assert min(len(winners) for winners in won) == 0
