"""A hold that waits behind the team's first allowance is counted, and a miscounted use stops no booking."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.api_keys import keys
from accounts.ledger import allowances, posting
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.ledger.posting import LockedAccount
from accounts.models import Allowance, AllowanceUse, Membership, Role, Transfer
from conftest import World

pytestmark = pytest.mark.both_databases

# In this database: tests that run at the same time wait in theirs. A lock on a row names none, but whoever
# waits for one has locked the row's table too.
WAITING = """
SELECT count(*) FROM pg_locks waiting JOIN pg_locks here USING (pid)
WHERE NOT waiting.granted AND here.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def somebody_waits() -> bool:
    """SQLite has no list of those who wait for its file, so a moment has to do."""
    if connection.vendor == "sqlite":
        time.sleep(0.3)
        return True
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])


def behind(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run ``second`` on a connection of its own while ``first`` is written and not committed yet."""
    is_written = threading.Event()

    def wait_behind() -> None:
        try:
            assert is_written.wait(10)
            second()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(wait_behind)
        with transaction.atomic():
            first()
            is_written.set()
            end = time.monotonic() + 10
            while not somebody_waits():
                assert time.monotonic() < end, "nobody waited"
        done.result(30)


def bobs(world: World) -> Membership:
    return Membership.objects.get(team=world.team, user=world.bob)


def hold(world: World, amount: int = CREDIT) -> Transfer:
    return ledger.hold(world.team, amount, key=str(uuid4()), reference="", actor=world.bob)


def grant(world: World, limit: int = 10 * CREDIT, period: str = "month") -> Allowance:
    return allowances.grant(bobs(world), limit=limit, period=period)


def used() -> int:
    return AllowanceUse.objects.get().used_microcredits


def test_a_hold_behind_the_first_allowance_is_counted(committed_world: World) -> None:
    world = committed_world
    behind(lambda: grant(world), lambda: hold(world))
    assert (used(), list(allowances.find_differences())) == (CREDIT, [])
    ledger.settle(Transfer.objects.get(kind="hold"), CREDIT // 4)
    assert (used(), list(allowances.find_differences())) == (CREDIT // 4, [])


def test_a_hold_behind_a_first_allowance_that_is_too_small_is_refused(committed_world: World) -> None:
    world = committed_world

    def ask() -> None:
        with pytest.raises(AllowanceUsedUpError):
            hold(world)

    behind(lambda: grant(world, limit=CREDIT - 1), ask)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


@pytest.mark.parametrize("charged", [0, CREDIT // 4, CREDIT, 3 * CREDIT])
def test_an_ending_behind_the_first_allowance_is_counted(committed_world: World, charged: int) -> None:
    world = committed_world
    held = hold(world)
    behind(lambda: grant(world), lambda: ledger.settle(held, charged))
    assert (used(), list(allowances.find_differences())) == (charged, [])


def test_the_first_allowance_behind_a_hold_counts_it(committed_world: World) -> None:
    world = committed_world
    behind(lambda: hold(world), lambda: grant(world))
    assert (used(), list(allowances.find_differences())) == (CREDIT, [])


def test_a_balance_is_the_one_after_the_wait(committed_world: World) -> None:
    """So that an overage is paid out of what there is, and the rest is owed."""
    world = committed_world
    held = hold(world, CREDIT)
    behind(lambda: hold(world, 98 * CREDIT), lambda: ledger.settle(held, 3 * CREDIT))
    expected = Balances(available=0, held=98 * CREDIT, spent=3 * CREDIT, owed=CREDIT)
    assert ledger.balances(world.team) == expected


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets in one writer at a time")
def test_asked_in_the_statement_that_waits_it_goes_uncounted(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the locking statement itself says of other tables is from before its wait."""
    world, said = committed_world, []
    taken = allowances.count_hold

    def lock_and_ask(cursor: Any, statement: str, team_id: int) -> dict[str, LockedAccount]:
        asking = "team_id, EXISTS (SELECT 1 FROM accounts_allowance WHERE team_id = %s) FROM"
        cursor.execute(f"{statement.replace('team_id FROM', asking)} FOR UPDATE", [team_id, team_id])
        rows = cursor.fetchall()
        said.append(rows[0][-1])
        return {row[0]: LockedAccount(*row[:-1]) for row in rows}

    def take_if_said(*arguments: object) -> None:
        if said[-1]:
            taken(*arguments)  # type: ignore[arg-type]

    def second() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(posting, "lock", lock_and_ask)
            patch.setattr(allowances, "count_hold", take_if_said)
            hold(world)

    behind(lambda: grant(world), second)
    assert said == [False]
    assert [should for _use, should in allowances.find_differences()] == [CREDIT]


# Holds that are open while the allowance, its spender or its period changes ---------------------------


def change_nothing(world: World) -> None:
    pass


def first(world: World) -> None:
    grant(world)


def lifted(world: World) -> None:
    grant(world)
    allowances.lift(bobs(world))


def made_again(world: World) -> None:
    lifted(world)
    grant(world)


def by_the_day(world: World) -> None:
    grant(world)
    grant(world, period="day")


def left(world: World) -> None:
    grant(world)
    bobs(world).delete()


def back_again(world: World) -> None:
    left(world)
    Membership.objects.create(team=world.team, user=world.bob, role=Role.MEMBER)
    grant(world)


CHANGES = [change_nothing, first, lifted, made_again, by_the_day, left, back_again]


@pytest.mark.parametrize("charged", [0, CREDIT // 4, CREDIT, 3 * CREDIT])
@pytest.mark.parametrize("after", CHANGES)
@pytest.mark.parametrize("before", [change_nothing, first, by_the_day])
def test_an_open_hold_ends_whatever_became_of_the_allowance(
    world: World, before: Callable[[World], None], after: Callable[[World], None], charged: int
) -> None:
    before(world)
    held = hold(world)
    after(world)
    ledger.settle(held, charged)
    assert list(allowances.find_differences()) == []
    assert ledger.balances(world.team).spent == charged


def test_a_keys_first_allowance_counts_its_open_holds(world: World) -> None:
    key = keys.create(world.team, world.bob, "shop")[0]
    held = ledger.hold(world.team, CREDIT, key="one", reference="", actor=world.bob, api_key=key)
    allowances.grant(key, limit=CREDIT, period="month")
    assert used() == CREDIT
    ledger.release(held)
    assert (used(), list(allowances.find_differences())) == (0, [])


@pytest.mark.parametrize("charged", [0, CREDIT // 4])
def test_a_use_that_was_miscounted_is_recomputed_and_stops_no_booking(world: World, charged: int) -> None:
    """As an instance may have it from before: counted without a hold that was open already."""
    grant(world)
    other, held = hold(world), hold(world)
    AllowanceUse.objects.update(used_microcredits=0)
    ledger.settle(held, charged)
    assert (used(), list(allowances.find_differences())) == (CREDIT + charged, [])
    ledger.release(other)
    assert list(allowances.find_differences()) == []


def test_subtracting_blindly_the_booking_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    grant(world)
    held = hold(world)
    AllowanceUse.objects.update(used_microcredits=0)
    monkeypatch.setattr(allowances, "NOT_NEGATIVE", "%s IS NOT NULL")
    with suppress(IntegrityError), transaction.atomic():
        ledger.release(held)
        pytest.fail("the database took a use below zero")
