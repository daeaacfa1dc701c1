"""Allowances: what counts, when it renews, and E7: three limits at once, of which the smallest holds."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import allowances, periods
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Allowance, AllowanceUse, ApiKey, Membership, Transfer
from conftest import World

pytestmark = pytest.mark.both_databases

PARIS = ZoneInfo("Europe/Paris")


class Noon:
    """A clock that a test moves on; it begins at noon on a Thursday, the 31st of December."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 12, 31, 12, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda: self.now)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> Noon:
    return Noon(monkeypatch)


@pytest.fixture
def key(world: World) -> ApiKey:
    return keys.create(world.team, world.bob, "shop")[0]


def bobs(world: World) -> Membership:
    return Membership.objects.get(team=world.team, user=world.bob)


def hold(world: World, amount: int = CREDIT, key: ApiKey | None = None) -> Transfer:
    return ledger.hold(world.team, amount, key=str(uuid4()), reference="", actor=world.bob, api_key=key)


def used(spender: Membership | ApiKey) -> int:
    return allowances.current_standing(Allowance.objects.get(**allowances._named(spender))).used


# What counts ---------------------------------------------------------------------------------------


def test_holds_count_and_then_what_was_booked(world: World) -> None:
    allowances.grant(bobs(world), limit=10 * CREDIT, period="day")
    first, second, third = (hold(world, 2 * CREDIT) for _ in range(3))
    assert used(bobs(world)) == 6 * CREDIT
    ledger.settle(first, CREDIT)
    ledger.settle(second, 3 * CREDIT)
    ledger.release(third)
    assert used(bobs(world)) == 4 * CREDIT
    assert list(allowances.find_differences()) == []


def test_a_refusal_says_which_limit_and_when_it_renews(world: World, noon: Noon) -> None:
    allowances.grant(bobs(world), limit=2 * CREDIT, period="day")
    hold(world)
    with pytest.raises(AllowanceUsedUpError) as caught:
        hold(world, CREDIT + 1)
    error = caught.value
    assert (error.used_microcredits, error.asked_microcredits) == (CREDIT, CREDIT + 1)
    assert error.allowance.member == bobs(world)
    assert error.renews_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert hold(world)


def test_a_refusal_writes_nothing(world: World) -> None:
    allowances.grant(bobs(world), limit=CREDIT, period="day")
    rows = [model.objects.count() for model in (Transfer, AllowanceUse)]
    with pytest.raises(AllowanceUsedUpError):
        hold(world, 2 * CREDIT)
    assert [model.objects.count() for model in (Transfer, AllowanceUse)] == rows
    assert (used(bobs(world)), ledger.balances(world.team)) == (0, Balances(available=100 * CREDIT))


def test_the_pools_refusal_takes_the_count_back(world: World) -> None:
    allowances.grant(bobs(world), limit=1000 * CREDIT, period="day")
    with pytest.raises(ledger.InsufficientCreditsError):
        hold(world, 101 * CREDIT)
    assert used(bobs(world)) == 0


def test_a_key_spends_its_owners_allowance_too(world: World, key: ApiKey, noon: Noon) -> None:
    allowances.grant(bobs(world), limit=3 * CREDIT, period="day")
    allowances.grant(key, limit=2 * CREDIT, period="week")
    hold(world, CREDIT, key)
    assert (used(bobs(world)), used(key)) == (CREDIT, CREDIT)
    hold(world)
    with pytest.raises(AllowanceUsedUpError) as caught:
        hold(world, 2 * CREDIT, key)
    assert caught.value.allowance.api_key == key  # of the two that refuse, the one that renews last
    assert (used(bobs(world)), used(key)) == (2 * CREDIT, CREDIT)
    assert [each.left for each in allowances.spender_standings(world.team, world.bob, key)] == [
        CREDIT,
        CREDIT,
    ]


def test_others_arent_bound_by_it(world: World) -> None:
    allowances.grant(bobs(world), limit=0, period="day")
    ledger.hold(world.team, CREDIT, key="a", reference="", actor=world.alice)
    with pytest.raises(AllowanceUsedUpError):
        hold(world)


def test_an_allowance_counts_what_was_spent_before_it_was_set(world: World, noon: Noon) -> None:
    hold(world, 5 * CREDIT)
    noon.now += timedelta(days=1)
    settled = hold(world, 3 * CREDIT)
    ledger.settle(settled, 2 * CREDIT)
    hold(world)
    allowances.grant(bobs(world), limit=4 * CREDIT, period="day")
    assert used(bobs(world)) == 3 * CREDIT
    allowances.grant(bobs(world), limit=4 * CREDIT, period="week")
    assert used(bobs(world)) == 8 * CREDIT
    with pytest.raises(AllowanceUsedUpError):
        hold(world)
    allowances.lift(bobs(world))
    assert hold(world)


def test_a_warning_comes_before_the_end(world: World) -> None:
    allowance = allowances.grant(bobs(world), limit=10 * CREDIT, period="day", warn_percent=75)
    hold(world, 7 * CREDIT)
    assert not allowances.current_standing(allowance).warns
    hold(world, CREDIT // 2)
    standing = allowances.current_standing(allowance)
    assert (standing.warns, standing.left, standing.percent) == (True, 2_500_000, 75)


def test_an_overage_may_go_beyond_and_stops_the_next(world: World) -> None:
    allowance = allowances.grant(bobs(world), limit=2 * CREDIT, period="day")
    ledger.settle(hold(world, CREDIT), 5 * CREDIT)
    standing = allowances.current_standing(allowance)
    assert (standing.used, standing.left, standing.percent) == (5 * CREDIT, 0, 100)
    with pytest.raises(AllowanceUsedUpError):
        hold(world, 1)


# Periods -------------------------------------------------------------------------------------------


def midnight(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("day", midnight(10, 25), midnight(10, 26)),
        ("week", midnight(10, 19), midnight(10, 26)),
        ("month", midnight(10, 1), midnight(11, 1)),
    ],
)
def test_periods_are_calendar_days_of_the_instances_zone(
    settings: Settings, period: str, start: datetime, end: datetime
) -> None:
    """On the Sunday on which summer time ends."""
    settings.TIME_ZONE = "Europe/Paris"
    at = datetime(2026, 10, 25, 23, 30, tzinfo=PARIS)
    assert periods.around(period, at) == (start, end)


def test_a_new_period_begins_at_zero_and_old_holds_count_in_theirs(world: World, noon: Noon) -> None:
    allowance = allowances.grant(bobs(world), limit=2 * CREDIT, period="day")
    old = hold(world, 2 * CREDIT)
    noon.now += timedelta(hours=12)
    assert allowances.current_standing(allowance).used == 0
    hold(world, 2 * CREDIT)
    ledger.settle(old, CREDIT)
    uses = allowance.uses.order_by("starts_at").values_list("used_microcredits", flat=True)
    assert list(uses) == [CREDIT, 2 * CREDIT]
    assert list(allowances.find_differences()) == []


def test_the_database_refuses_what_must_not_be(world: World, key: ApiKey) -> None:
    good = {"team": world.team, "period": "day", "limit_microcredits": 1}
    for bad in (
        good,
        good | {"member": bobs(world), "api_key": key},
        good | {"api_key": key, "limit_microcredits": -1},
        good | {"api_key": key, "period": "year"},
        good | {"api_key": key, "warn_percent": 0},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Allowance.objects.create(**bad)


# E7 ------------------------------------------------------------------------------------------------

THREADS, CALLS = 8, 12


@pytest.fixture(params=range(3))
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.fixture
def limits(committed_world: World, chance: random.Random) -> tuple[World, ApiKey, list[int]]:
    """Bound a pool, a member and a key by random amounts; all holds are one credit."""
    world = committed_world
    key = keys.create(world.team, world.bob, "shop")[0]
    pool, member, mine = (chance.randint(5, 20) for _ in range(3))
    ledger.adjust(world.team, (pool - 100) * CREDIT, key="pool", actor=world.alice, memo="for the test")
    allowances.grant(bobs(world), limit=member * CREDIT, period="day")
    allowances.grant(key, limit=mine * CREDIT, period="month")
    return world, key, [pool, member, mine]


def ask_from_many_threads(world: World, key: ApiKey, calls: int = CALLS) -> tuple[int, int]:
    """Return how many holds were granted with the key, and without."""
    start = threading.Barrier(THREADS)

    def ask(number: int) -> tuple[int, int]:
        chance, granted = random.Random(number), [0, 0]
        start.wait(30)
        try:
            for _ in range(calls):
                by_key = chance.random() < 0.6
                try:
                    made = hold(world, CREDIT, key if by_key else None)
                except ledger.LedgerError:
                    continue
                granted[by_key] += 1
                if chance.random() < 0.3:
                    ledger.release(made)
                    granted[by_key] -= 1
        finally:
            connection.close()
        return granted[True], granted[False]

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(ask, range(THREADS)))
    return sum(keyed for keyed, _ in results), sum(plain for _, plain in results)


def test_of_three_limits_the_smallest_is_never_passed(limits: tuple[World, ApiKey, list[int]]) -> None:
    world, key, (pool, member, mine) = limits
    keyed, plain = ask_from_many_threads(world, key)
    assert keyed <= mine
    assert keyed + plain == min(pool, member)  # there were more than enough that ask
    assert ledger.balances(world.team).held == (keyed + plain) * CREDIT
    assert (used(key), used(bobs(world))) == (keyed * CREDIT, (keyed + plain) * CREDIT)
    assert list(allowances.find_differences()) == []


def test_a_period_that_renews_in_the_middle_gives_each_its_own(
    limits: tuple[World, ApiKey, list[int]], noon: Noon
) -> None:
    world, key, (pool, member, mine) = limits
    allowances.grant(bobs(world), limit=member * CREDIT, period="day")
    allowances.grant(key, limit=mine * CREDIT, period="month")
    midnight = threading.Timer(0.15, lambda: setattr(noon, "now", noon.now + timedelta(hours=12)))
    midnight.start()
    ask_from_many_threads(world, key, 2 * CALLS)
    midnight.join()
    for use in AllowanceUse.objects.select_related("allowance"):
        assert 0 <= use.used_microcredits <= use.allowance.limit_microcredits
    assert ledger.balances(world.team).held <= pool * CREDIT
    assert list(allowances.find_differences()) == []


def test_limits_checked_apart_from_the_hold_are_passed(
    limits: tuple[World, ApiKey, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: everybody has looked at the allowance before anybody counts."""
    world = limits[0]
    ledger.grant(world.team, 100 * CREDIT, key="more", actor=world.alice)
    allowances.grant(bobs(world), limit=4 * CREDIT, period="day")
    all_have_looked = threading.Barrier(THREADS)
    monkeypatch.setattr(allowances, "count_hold", lambda *_: None)

    def ask(_: int) -> bool:
        try:
            allowance = allowances.current_standing(Allowance.objects.get(member=bobs(world)))
            all_have_looked.wait(30)
            if allowance.left < CREDIT:
                return False
            hold(world)
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(ask, range(THREADS))) == THREADS > 4
