"""The cost of a batch, and how much of it fits: by tables, and as the page gets it."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Membership
from conftest import World, small_png
from jobs.batches.plan import Means, figures, likely
from jobs.models import Price
from jobs.tests import upstream as wire
from jobs.tests.browser import SCRIPT, begin, listing, register, upload
from jobs.tests.upstream import Server, run


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


def plan(client: Client, batch: UUID, **headers: str) -> dict[str, Any]:
    address = reverse("batch_plan", args=["aurora", batch])
    response = client.get(address, headers=SCRIPT | headers)
    assert response.status_code == 200
    data: dict[str, Any] = response.json()
    return data


def batch_of(client: Client, *files: dict[str, Any]) -> UUID:
    batch = begin(client)
    for start in range(0, len(files), 500):
        assert register(client, batch, *files[start : start + 500]).status_code == 200
    return batch


@pytest.mark.parametrize(
    ("costs", "means", "fits", "missing", "after"),
    [
        ([], Means(10), 0, 0, 10),
        ([1, 2, 3], Means(10), 3, 0, 4),
        ([1, 2, 3], Means(6), 3, 0, 0),
        ([1, 2, 3], Means(5), 2, 1, 2),
        ([9, 1, 1], Means(5), 0, 6, 5),  # in order: the small ones don't overtake
        ([1, 2, 3], Means(10, allowance=4), 2, 2, 7),
        ([1, 2, 3], Means(4, allowance=10), 2, 2, 1),
        ([1, 2, 3], Means(10, allowance=0), 0, 6, 10),
        ([1, 2, 3], Means(0, owed=2), 0, 8, 0),
        ([1, 2, 3], Means(10, waiting=6), 2, 2, 7),
        ([1, 2, 3], Means(10, waiting=20), 0, 6, 10),
    ],
)
def test_how_many_fit(costs: list[int], means: Means, fits: int, missing: int, after: int) -> None:
    in_credits = Means(
        means.pool * CREDIT,
        None if means.allowance is None else means.allowance * CREDIT,
        means.owed * CREDIT,
        means.waiting * CREDIT,
    )
    worked_out = figures([cost * CREDIT for cost in costs], in_credits)
    assert worked_out.at_most == sum(costs) * CREDIT
    found = (worked_out.fits, worked_out.missing / CREDIT, worked_out.after / CREDIT)
    assert found == (fits, missing, after)


def test_what_is_missing_is_rounded_up_as_it_is_shown() -> None:
    assert figures([1_004_001], Means(CREDIT)).missing == 10_000


@pytest.mark.parametrize(
    ("sizes", "rate", "about"),
    [
        ([], 500_000, None),
        ([1_000_000], None, None),
        ([1_000_000], 500_000, 500_000),
        ([1_000_000, 3_000_000], 500_000, 2_000_000),
        ([1_000_000, 3_000_000, None, None], 500_000, 4_000_000),
        ([None], 500_000, None),
        ([30_000_000], 1_000_000, 25_000_000),  # it is shrunk first
        ([1_000_000], 20_000_000, 9_000_000),  # never above the ceiling
    ],
)
def test_what_is_likely(sizes: list[int | None], rate: int | None, about: int | None) -> None:
    assert likely(sizes, rate, at_most=25_000_000 if rate == CREDIT else 9_000_000) == about


def test_a_plan_says_what_a_batch_costs_and_how_much_fits(world: World, bob: Client) -> None:
    ledger.adjust(world.team, -97 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    batch = batch_of(bob, *(listing(n, width=1250, height=1000) for n in (1, 2, 3)))
    assert plan(bob, batch) == {
        "pictures": 3,
        "megapixels": "3.75",
        "about": None,
        "at_most": "3.75",
        "counts": {"about": 0, "at_most": 3, "owed": 0, "missing": 0, "after": 0},
        "available": {"pool": "3", "allowance": None},
        "owed": "0",
        "fits": 2,
        "missing": "0.75",
        "after": "0.5",
        "duplicates": [],
        "unknown": 0,
    }


def test_a_plan_is_written_for_its_reader(bob: Client) -> None:
    batch = batch_of(bob, listing(1, width=1250, height=1000))
    bob.cookies["django_language"] = "fr"
    assert plan(bob, batch)["at_most"] == "1,25"


def test_the_allowance_bounds_it(world: World, bob: Client) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=2 * CREDIT, period="month")
    batch = batch_of(bob, *(listing(n, width=1000, height=1000) for n in range(1, 4)))
    found = plan(bob, batch)
    assert found["available"] == {"pool": "100", "allowance": "2"}
    assert (found["fits"], found["missing"], found["after"]) == (2, "1", "98")
    assert found["counts"]["missing"] == 1


def test_what_waits_already_goes_first(world: World, bob: Client) -> None:
    ledger.adjust(world.team, -98 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    upload(bob, small_png(2500, 1000))
    batch = batch_of(bob, listing(1, width=1000, height=1000))
    found = plan(bob, batch)
    assert (found["available"]["pool"], found["fits"]) == ("2", 0)


def test_files_of_unknown_size_count_as_the_largest(bob: Client) -> None:
    batch = batch_of(bob, listing(1, width=1000, height=1000), listing(2))
    found = plan(bob, batch)
    assert (found["unknown"], found["megapixels"], found["at_most"]) == (1, "1", "26")


def test_only_what_is_missing_counts(bob: Client) -> None:
    batch = begin(bob)
    upload(bob, batch=batch, width=1000, height=1000)
    register(bob, batch, listing(2, width=8000, height=8000), listing(3, width=1000, height=1000))
    assert plan(bob, batch)["pictures"] == 1


def test_it_is_about_what_such_pictures_have_cost(world: World, bob: Client, server: Server) -> None:
    for charged in ("0.4", "0.5", "0.9"):
        world.job()
        server.script.append(wire.answer(charged=charged))
        run(server)
    assert Price.objects.exists()
    batch = batch_of(bob, *(listing(n, width=2000, height=1000) for n in (1, 2)))
    found = plan(bob, batch)
    assert (found["about"], found["at_most"]) == ("2", "4")


def test_2000_files_cost_as_many_queries_as_three(bob: Client) -> None:
    counts = []
    for many in (3, 2000):
        sent = (listing(n + 1, width=1000 + n, height=1000, sha256=f"{n:064x}") for n in range(many))
        batch = batch_of(bob, *sent)
        with CaptureQueriesContext(connection) as captured:
            assert plan(bob, batch)["pictures"] == many
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_viewer_sees_it_and_an_outsider_does_not(world: World, bob: Client) -> None:
    batch = batch_of(bob, listing())
    bob.force_login(world.vera)
    assert plan(bob, batch)["pictures"] == 1
    bob.force_login(world.charlie)
    assert bob.get(reverse("batch_plan", args=["aurora", batch])).status_code == 404
