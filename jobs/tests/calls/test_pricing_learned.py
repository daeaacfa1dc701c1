"""A charge raises what is held next time, by sizes of pictures and by upstream."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World, hold_of, small_png
from jobs.audit.verify import run as verify
from jobs.calls import attempts, prices, pricing
from jobs.calls.attempts import estimate
from jobs.models import Price
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

MEGAPIXEL = 1_000_000
CHARGES = st.lists(st.tuples(st.integers(1, 32 * MEGAPIXEL), st.integers(0, 10**9)), min_size=1, max_size=20)


picture = cache(small_png)


def pay(
    world: World, server: Server, charged: str, width: int = 1000, height: int = 1000, **options: str
) -> None:
    job = world.job(picture(width, height))
    job.options |= options  # which only programs send
    job.save(update_fields=["options"])
    server.script.append(wire.answer(charged=charged))
    assert run(server)[0].state == "done"


def shown_price(world: World, client: Client) -> int:
    client.force_login(world.bob)
    shown: int = client.get(reverse("workspace", args=[world.team.slug])).context["price"]
    return shown


def test_a_charge_above_the_estimate_raises_the_next_one(
    world: World, server: Server, client: Client
) -> None:
    assert (estimate(MEGAPIXEL), shown_price(world, client)) == (CREDIT, CREDIT)
    pay(world, server, "1.750001")
    assert (estimate(MEGAPIXEL), shown_price(world, client)) == (1_750_001, 1_750_001)
    job = world.job()
    assert job.estimated_microcredits == hold_of(job.last_attempt).amount_microcredits == 1_750_001


def test_a_charge_below_it_lowers_nothing(world: World, server: Server) -> None:
    pay(world, server, "0.1")
    assert estimate(MEGAPIXEL) == CREDIT  # the floor
    pay(world, server, "2")
    pay(world, server, "1.5")
    assert estimate(MEGAPIXEL) == 2 * CREDIT


def test_one_charge_at_most_doubles_what_the_next_one_holds(world: World, server: Server) -> None:
    """However odd it is, if it is believed at all. If the price really rose, the next charges say so too."""
    ledger.grant(world.team, 100 * CREDIT, key="more")
    for expected in (2, 4, 8, 9, 9):
        pay(world, server, "9")
        assert estimate(MEGAPIXEL) == expected * CREDIT
    assert verify().findings == []


def test_a_picture_that_the_upstream_shrinks_teaches_the_price_of_what_is_left(
    world: World, server: Server
) -> None:
    """Else twenty of them let the price fall, and the next whole picture costs more than is held."""
    ledger.grant(world.team, 100 * CREDIT, key="more")
    pay(world, server, "8", 2000, 2000)
    for _ in range(Price.FADES_AFTER):
        pay(world, server, "0.5", 2000, 2000, max_pixels="250000")
    assert estimate(4 * MEGAPIXEL) == 8 * CREDIT
    assert estimate(MEGAPIXEL // 4) == CREDIT // 2
    assert attempts.usual_rate() == 2 * CREDIT
    assert verify().findings == []


def test_the_usual_rate_is_of_this_accounts_calls(world: World, server: Server, settings: Settings) -> None:
    pay(world, server, "2")
    settings.PIXIAN_API_ID = "other"
    assert attempts.usual_rate() is None
    pay(world, server, "1")
    assert attempts.usual_rate() == CREDIT


def test_a_thumbnails_minimum_charge_is_learned_at_once(world: World, server: Server) -> None:
    pay(world, server, "1", 10, 10)
    assert estimate(100) == CREDIT
    pay(world, server, "10", 10, 10)
    assert estimate(100) == 2 * CREDIT


def test_after_a_row_of_lower_charges_the_price_falls_to_the_highest_of_them(
    world: World, server: Server
) -> None:
    pay(world, server, "2")
    for n in range(Price.FADES_AFTER - 1):
        pay(world, server, "1.25" if n == 3 else "1.125")
        assert estimate(MEGAPIXEL) == 2 * CREDIT
    pay(world, server, "1.125")
    assert estimate(MEGAPIXEL) == 1_250_000
    assert verify().findings == []


def test_a_charge_as_high_begins_the_row_anew(world: World, server: Server) -> None:
    pay(world, server, "2")
    for charge in ["1"] * (Price.FADES_AFTER - 1) + ["2"] + ["1"] * (Price.FADES_AFTER - 1):
        pay(world, server, charge)
    assert estimate(MEGAPIXEL) == 2 * CREDIT
    pay(world, server, "1")
    assert estimate(MEGAPIXEL) == CREDIT


def test_at_the_floor_or_below_nothing_is_counted(world: World, server: Server) -> None:
    """Nothing would come of it, and every call would wait for one row."""
    for charge in ("1", "0.5", "0.75", "1"):
        pay(world, server, charge)
    row = Price.objects.get()
    assert (row.microcredits_per_megapixel, row.lower_charges) == (CREDIT, 0)


def test_a_second_try_is_held_by_what_was_learned_meanwhile(world: World, server: Server) -> None:
    waiting = world.job()
    server.script.append(wire.error(500, X_Credits_Charged="1.5"))
    job, _ = run(server)
    assert job.pk == waiting.pk
    assert [hold_of(a).amount_microcredits for a in job.attempts.order_by("number")] == [CREDIT, 1_500_000]


def test_a_thumbnails_minimum_charge_does_not_raise_a_large_pictures_estimate(
    world: World, server: Server
) -> None:
    pay(world, server, "0.25", 10, 10)
    assert estimate(100) == 250_000
    assert estimate(12 * MEGAPIXEL) == 12 * CREDIT


def test_a_large_pictures_rate_counts_for_smaller_ones(world: World, server: Server) -> None:
    pay(world, server, "2", 1000, 1000)
    assert estimate(MEGAPIXEL // 10) == CREDIT // 5
    assert estimate(2 * MEGAPIXEL - 1) == 4 * CREDIT - 2  # and for one of the next band


def test_each_upstream_has_its_own_prices(world: World, server: Server, settings: Settings) -> None:
    pay(world, server, "1.5")
    settings.PIXIAN_API_URL = "https://other.example"
    assert estimate(MEGAPIXEL) == CREDIT


def test_each_account_has_its_own_prices(world: World, server: Server, settings: Settings) -> None:
    pay(world, server, "1.5")
    settings.PIXIAN_API_ID = "px0000000000000"
    assert estimate(MEGAPIXEL) == CREDIT
    pay(world, server, "2")
    assert estimate(MEGAPIXEL) == 2 * CREDIT
    assert Price.objects.count() == 2
    assert verify().findings == []


def test_a_charge_that_cannot_be_read_teaches_nothing(world: World, server: Server) -> None:
    pay(world, server, "a lot")
    assert not Price.objects.exists()


@given(CHARGES, st.integers(1, 3 * CREDIT))
def test_no_picture_is_held_for_less_than_the_same_one_cost(
    charges: list[tuple[int, int]], floor: int
) -> None:
    """As ``estimate`` does, without a database, once each was learned whole."""
    seen: dict[int, int] = {}
    for pixels, charged in charges:
        band, rate = pricing.band(pixels), pricing.rate(charged, pixels)
        seen[band] = max(rate, seen.get(band, 0))
    for pixels, charged in charges:
        rates = [rate for band, rate in seen.items() if band >= pricing.lowest_band(pixels)]
        held = pricing.ceiling(pixels, max(floor, *rates))
        assert held >= charged
        assert held >= pricing.ceiling(pixels, floor)


# What is kept for a moment ---------------------------------------------------------------------------


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_kept", {})
    monkeypatch.setattr(prices, "KEPT_SECONDS", 600)


def test_what_this_process_learns_counts_at_once(committed_world: World, server: Server, kept: None) -> None:
    assert estimate(MEGAPIXEL) == CREDIT
    pay(committed_world, server, "1.5")
    assert estimate(MEGAPIXEL) == 1_500_000
    pay(committed_world, server, "2.5")
    assert estimate(MEGAPIXEL) == 2_500_000
    assert verify().findings == []


def test_what_another_process_learns_counts_a_moment_later(
    committed_world: World, server: Server, kept: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(committed_world, server, "0.5")
    assert estimate(MEGAPIXEL) == CREDIT
    Price.objects.update(microcredits_per_megapixel=3 * CREDIT)
    assert estimate(MEGAPIXEL) == CREDIT
    monkeypatch.setattr(prices, "KEPT_SECONDS", 0)
    prices._kept.clear()
    assert estimate(MEGAPIXEL) == 3 * CREDIT


def test_a_second_try_is_held_by_what_the_first_one_taught(
    committed_world: World, server: Server, kept: None
) -> None:
    """It is prepared in the transaction that books the first one."""
    assert estimate(MEGAPIXEL) == CREDIT
    committed_world.job()
    server.script.append(wire.error(500, X_Credits_Charged="1.5"))
    job, _ = run(server)
    assert [hold_of(a).amount_microcredits for a in job.attempts.order_by("number")] == [CREDIT, 1_500_000]


@pytest.mark.parametrize("elsewhere", ["0.9", "1.5"])
def test_a_charge_that_is_compared_with_an_old_price_is_learned_all_the_same(
    committed_world: World, server: Server, kept: None, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    """If another process has learned a higher one meanwhile, that one stays until a higher one comes."""
    pay(committed_world, server, "0.5")
    old = dict(prices._kept)
    pay(committed_world, server, elsewhere)
    for charged, price in (("0.5", elsewhere), ("1.25", max(elsewhere, "1.25")), ("2", "2")):
        monkeypatch.setattr(prices, "_kept", dict(old))
        pay(committed_world, server, charged)
        assert Price.objects.get().microcredits_per_megapixel == float(price) * CREDIT
    assert verify().findings == []


# Two who learn at once --------------------------------------------------------------------------------

Learn = Callable[[int, int], None]


def learn(band: int, rate: int) -> None:
    Price.objects.learn("here", "px", band, rate)


def learn_at_once(rates: list[int], band: int, learn: Learn = learn) -> int:
    """Each rate from a thread of its own; returns what is known afterwards."""
    start = threading.Barrier(len(rates))

    def one(rate: int) -> None:
        try:
            start.wait()
            learn(band, rate)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(rates)) as pool:
        list(pool.map(one, rates))
    return Price.objects.get(upstream="here", api_id="px", band=band).microcredits_per_megapixel


@pytest.mark.parametrize("known", [False, True])
def test_of_those_who_learn_at_once_the_highest_stays(transactional_db: None, known: bool) -> None:
    for band in range(5):
        if known:
            learn(band, 1)
        assert learn_at_once([3, 8, 5, 2, 7, 1, 6, 4], band) == 8


def test_a_look_followed_by_a_write_forgets_the_highest(transactional_db: None) -> None:
    """The control: both have looked before the lower one writes last."""
    learn(0, 1)
    both_have_looked, higher_has_written = threading.Barrier(2), threading.Event()

    def look_then_write(band: int, rate: int) -> None:
        row = Price.objects.get(upstream="here", band=band)
        both_have_looked.wait()
        if rate == 2:
            higher_has_written.wait()
        if rate > row.microcredits_per_megapixel:
            row.microcredits_per_megapixel = rate
            row.save()
        higher_has_written.set()

    assert learn_at_once([9, 2], 0, look_then_write) == 2
