"""Money: two phases, two sides, and a database that refuses the rest."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, ProtectedError, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.api_keys import keys
from accounts.ledger import allowances, posting
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import LedgerAccount, Membership, Team, Transfer, User
from accounts.tests.statements import assert_statements
from conftest import World

pytestmark = pytest.mark.both_databases


def hold(team: Team, amount: int, key: str = "hold:1") -> Transfer:
    return ledger.hold(team, amount, key=key, reference="job:1")


def test_a_call_is_held_then_settled_and_the_rest_released(world: World) -> None:
    held = hold(world.team, 3 * CREDIT)
    assert ledger.balances(world.team) == Balances(available=97 * CREDIT, held=3 * CREDIT)

    ledger.settle(held, 2 * CREDIT)
    assert ledger.balances(world.team) == Balances(available=98 * CREDIT, spent=2 * CREDIT)
    assert [t.kind for t in ledger.transfers(world.team)] == ["release", "settle", "hold", "grant"]
    assert_sums_to_zero()


def test_a_release_gives_all_back(world: World) -> None:
    ledger.release(hold(world.team, 3 * CREDIT))
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_a_charge_of_nothing_is_a_release(world: World) -> None:
    ledger.settle(hold(world.team, 3 * CREDIT), 0)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_more_than_available_is_refused_and_writes_nothing(world: World) -> None:
    before = Transfer.objects.count()
    with pytest.raises(ledger.InsufficientCreditsError) as caught:
        hold(world.team, 100 * CREDIT + 1)
    assert caught.value.available_microcredits == 100 * CREDIT
    assert Transfer.objects.count() == before
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_a_hold_ends_once(world: World) -> None:
    held = hold(world.team, CREDIT)
    ledger.settle(held, CREDIT)
    with pytest.raises(ledger.AlreadyResolvedError):
        ledger.settle(held, CREDIT)
    with pytest.raises(ledger.AlreadyResolvedError):
        ledger.release(held)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_an_overage_is_paid_out_of_what_is_available(world: World) -> None:
    ledger.settle(hold(world.team, 2 * CREDIT), 5 * CREDIT)
    assert ledger.balances(world.team) == Balances(available=95 * CREDIT, spent=5 * CREDIT)
    assert Transfer.objects.get(kind="overage").amount_microcredits == 3 * CREDIT
    assert_sums_to_zero()


def test_holds_wait_until_an_overage_is_covered(world: World) -> None:
    ledger.settle(hold(world.team, 99 * CREDIT), 103 * CREDIT)
    assert ledger.balances(world.team) == Balances(spent=103 * CREDIT, owed=3 * CREDIT)
    with pytest.raises(ledger.OwingError):
        hold(world.team, 1, key="hold:2")

    ledger.grant(world.team, 10 * CREDIT, key="grant:2")
    assert ledger.balances(world.team) == Balances(available=7 * CREDIT, spent=103 * CREDIT)
    hold(world.team, 1, key="hold:2")
    assert_sums_to_zero()


def test_adjustments_name_an_author_and_a_reason(world: World) -> None:
    ledger.settle(hold(world.team, 4 * CREDIT), 4 * CREDIT)
    ledger.adjust(world.team, CREDIT, key="adjust:0", actor=world.alice, memo="blank")
    ledger.adjust(world.team, -2 * CREDIT, key="adjust:1", actor=world.alice, memo="granted twice")
    assert ledger.balances(world.team) == Balances(available=95 * CREDIT, spent=4 * CREDIT)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.adjust(world.team, CREDIT, key="adjust:2", actor=world.alice, memo="")


def test_a_key_is_used_once(world: World) -> None:
    ledger.grant(world.team, CREDIT, key="invoice 7")
    with pytest.raises(ledger.DuplicateKeyError):
        ledger.grant(world.team, CREDIT, key="invoice 7")
    assert ledger.balances(world.team).available == 101 * CREDIT


def test_an_ending_whose_key_is_taken_is_refused_as_that(world: World) -> None:
    """Not as a hold that has ended, although its remainder was written by then."""
    held = hold(world.team, 3 * CREDIT)
    ledger.grant(world.team, CREDIT, key=f"settle:{held.pk}")
    with pytest.raises(ledger.DuplicateKeyError, match=f"settle:{held.pk}"):
        ledger.settle(held, CREDIT)
    assert ledger.balances(world.team) == Balances(available=98 * CREDIT, held=3 * CREDIT)
    assert not held.resolutions.exists()


def test_a_key_is_used_once_even_if_all_of_a_grant_was_owed(world: World) -> None:
    ledger.settle(hold(world.team, 99 * CREDIT), 103 * CREDIT)
    for _ in range(2):
        with suppress(ledger.DuplicateKeyError):
            ledger.grant(world.team, 3 * CREDIT, key="invoice 7")
    assert ledger.balances(world.team) == Balances(spent=103 * CREDIT)


def test_a_posting_is_three_statements(world: World) -> None:
    """Lock, insert, move: a busy team waits for each of them."""
    with assert_statements(3):
        ledger.hold(world.team, 3 * CREDIT, key="one", reference="", actor=world.bob)
    for n in range(3):
        ledger.hold(world.team, CREDIT, key=f"hold:{n}", reference="", actor=world.bob)
    # As a worker has them: read from the database, without their accounts.
    first, second, third, fourth = Transfer.objects.filter(kind="hold").order_by("pk")
    with assert_statements(3):
        ledger.settle(first, 2 * CREDIT)  # and a remainder
    with assert_statements(3):
        ledger.settle(second, 5 * CREDIT)  # and an overage
    with assert_statements(3):
        ledger.release(third)
    with assert_statements(3):
        ledger.settle(fourth, CREDIT)


def test_allowances_add_two_statements(world: World) -> None:
    """One finds them, another counts. An ending by just what was held changes no use, and asks for none."""
    key = keys.create(world.team, world.bob, "shop")[0]
    allowances.grant(Membership.objects.get(team=world.team, user=world.bob), limit=CREDIT, period="day")
    allowances.grant(key, limit=CREDIT, period="month")
    with assert_statements(5):
        held = ledger.hold(world.team, CREDIT, key="one", reference="", actor=world.bob, api_key=key)
    with assert_statements(5):
        ledger.release(held)
    held = ledger.hold(world.team, CREDIT, key="two", reference="", actor=world.bob, api_key=key)
    with assert_statements(3):
        ledger.settle(held, CREDIT)


def test_nothing_is_no_transfer(world: World) -> None:
    before = Transfer.objects.count()
    ledger.grant(world.team, 0, key="nothing")
    assert Transfer.objects.count() == before


def test_the_database_refuses_to_overdraw(world: World) -> None:
    available = LedgerAccount.objects.filter(team=world.team, kind="available")
    with pytest.raises(IntegrityError), transaction.atomic():
        available.update(balance_microcredits=-1)


def test_the_database_refuses_to_change_or_delete_a_transfer(world: World) -> None:
    rows = Transfer.objects.all()
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        rows.update(amount_microcredits=F("amount_microcredits") + 1)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        rows.delete()
    with pytest.raises(ProtectedError):
        world.team.delete()


def assert_sums_to_zero() -> None:
    total = LedgerAccount.objects.aggregate(total=Sum("balance_microcredits"))["total"]
    assert not total


class Books(RuleBasedStateMachine):
    """Any order of any transfers leaves every account equal to what its transfers say."""

    def __init__(self) -> None:
        super().__init__()
        self.team = Team.objects.create(name="Any", slug=f"any-{Team.objects.count()}")
        self.author = User.objects.create_user(f"{User.objects.count()}@example.org")
        self.holds: list[Transfer] = []
        self.keys = 0

    def key(self) -> str:
        self.keys += 1
        return f"{self.team.slug}:{self.keys}"

    @rule(amount=st.integers(1, 10**9))
    def grant(self, amount: int) -> None:
        ledger.grant(self.team, amount, key=self.key())

    @rule(amount=st.integers(1, 10**9))
    def hold(self, amount: int) -> None:
        had = ledger.balances(self.team)
        try:
            self.holds.append(ledger.hold(self.team, amount, key=self.key(), reference=""))
        except ledger.InsufficientCreditsError:
            assert amount > had.available
        except ledger.OwingError:
            assert had.owed

    @precondition(lambda self: self.holds)
    @rule(charged=st.integers(0, 2 * 10**9))
    def settle(self, charged: int) -> None:
        spent = ledger.balances(self.team).spent
        ledger.settle(self.holds.pop(), charged)
        assert ledger.balances(self.team).spent == spent + charged

    @precondition(lambda self: self.holds)
    @rule()
    def release(self) -> None:
        ledger.release(self.holds.pop(0))

    @rule(amount=st.integers(-(10**9), 10**9).filter(bool))
    def adjust(self, amount: int) -> None:
        had = ledger.balances(self.team).available
        try:
            ledger.adjust(self.team, amount, key=self.key(), actor=self.author, memo="why")
        except ledger.InsufficientCreditsError:
            assert had + amount < 0

    @invariant()
    def balances_follow_from_transfers(self) -> None:
        for account in LedgerAccount.objects.filter(team=self.team):
            came = account.credits.aggregate(sum=Sum("amount_microcredits"))["sum"] or 0
            went = account.debits.aggregate(sum=Sum("amount_microcredits"))["sum"] or 0
            assert account.balance_microcredits == came - went
        held = sum(hold.amount_microcredits for hold in self.holds)
        assert ledger.balances(self.team).held == held
        assert_sums_to_zero()


def test_the_books_hold_whatever_happens(db: None) -> None:
    few = settings(
        max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Books, settings=few)


def test_the_benchmark_in_plain_sql_writes_the_same_columns() -> None:
    """It is nothing to compare with otherwise, and a new column that must be there breaks it unseen."""
    script = Path(__file__).parents[3].joinpath("bench/speed/ledger.sql").read_text()
    columns = ", ".join(posting.COLUMNS)
    assert re.findall(r"INSERT INTO accounts_transfer \((.*?)\)", script) == [columns, columns]
