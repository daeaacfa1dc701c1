"""Two transactions that each post twice for one team: neither ever waits for what the other holds."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import OperationalError, connection, transaction

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World

pytestmark = pytest.mark.both_databases


def both_at_once(*pairs: tuple[Callable[[], object], Callable[[], object]]) -> None:
    """Run each pair in a transaction of its own.

    After its first half, each waits a moment for the other, which comes only if it isn't locked out.
    """
    meet = threading.Barrier(len(pairs))

    def run(first: Callable[[], object], second: Callable[[], object]) -> None:
        try:
            with transaction.atomic():
                first()
                with suppress(threading.BrokenBarrierError):
                    meet.wait(timeout=0.5)
                second()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(pairs)) as pool:
        runs = [pool.submit(run, *pair) for pair in pairs]
        for done in runs:
            done.result()


def charge_and_try_again_beside_a_correction(world: World) -> None:
    """As a failed call does that was charged in full; the correction takes what it needs in another order."""
    team, alice = world.team, world.alice
    charged, given_back = (ledger.hold(team, CREDIT, key=f"hold:{n}", reference=f"job:{n}") for n in range(2))
    both_at_once(
        (
            lambda: ledger.settle(charged, CREDIT),
            lambda: ledger.hold(team, CREDIT, key="again", reference="job:0"),
        ),
        (
            lambda: ledger.adjust(team, CREDIT, key="correction", actor=alice, memo="found"),
            lambda: ledger.release(given_back),
        ),
    )


def test_postings_for_one_team_stand_in_line(committed_world: World) -> None:
    charge_and_try_again_beside_a_correction(committed_world)
    expected = Balances(available=99 * CREDIT, held=CREDIT, spent=CREDIT)
    assert ledger.balances(committed_world.team) == expected


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets in one writer at a time")
def test_without_the_first_lock_they_block_each_other(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: PostgreSQL finds the circle and ends one of them."""
    monkeypatch.setattr(type(connection.features), "has_select_for_update", False)
    with pytest.raises(OperationalError, match="deadlock"):
        charge_and_try_again_beside_a_correction(committed_world)
