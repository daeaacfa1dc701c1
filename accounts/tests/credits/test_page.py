"""The page of a team's credits: figures, movements in plain words, and who sees which form."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.credits import statement
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import CreditRequest, Team, User
from accounts.teams.create import open_team
from accounts.templatetags.money import level_of
from accounts.tests.teams.team_pages import LEVELS, log_in, of, page, text
from accounts.views import credits as credits_page
from conftest import World

pytestmark = pytest.mark.both_databases


@pytest.fixture
def root(db: None) -> User:
    """Return someone who runs the site and is in no team."""
    return User.objects.create_user("root@example.org", is_staff=True, first_name="Ruth")


def spend(world: World) -> None:
    """Hold for three pictures of bob's: one is charged less, one more than it held, one is under way."""
    held = [
        ledger.hold(world.team, 2 * CREDIT, key=f"{n}", reference=f"job:{n}:1", actor=world.bob)
        for n in (1, 2, 3)
    ]
    ledger.settle(held[0], 1_250_003)
    ledger.settle(held[1], 2_500_000)


def test_the_four_figures_and_what_moved_them(world: World, client: Client) -> None:
    spend(world)
    shown = text(log_in(client, "vera").get(page(world, "credits")))
    for exactly in ("94.249997", "2", "3.750003", "0"):
        assert f'<div title="{exactly}"' in shown
    for figure in ("94.25", "2", "3.75", "0"):
        assert f"<dd> {figure} </dd>" in shown
    for sentence in (
        "Opening credits",
        "Charged 1.25, out of what was held",
        "Given back: less was charged than held",
        "Charged 0.5 beyond what was held",
        "0.5 paid of what the team owed",
    ):
        assert sentence in shown
    assert f'href="{page(world, "job", 3)}"' in shown
    assert "bob@example.org" in shown


def test_changes_are_those_of_what_is_available(world: World) -> None:
    spend(world)
    lines = statement.newest(world.team, 20)
    assert sum(line.change for line in lines) == ledger.balances(world.team).available
    assert [line.picture for line in lines if line.text == "Held"] == [3, 2, 1]


def test_only_the_newest_are_shown(world: World) -> None:
    spend(world)
    ledger.grant(Team.objects.exclude(pk=world.team.pk).get(), CREDIT, key="others")
    lines = statement.newest(world.team, 2)
    assert [line.text for line in lines] == [line.text for line in statement.newest(world.team, 20)][:2]
    assert len(lines) == 2


@pytest.mark.parametrize("who", LEVELS)
def test_who_may_ask_and_who_may_grant(
    world: World, client: Client, mona: User, root: User, who: str
) -> None:
    shown = text(log_in(client, who).get(page(world, "credits")))
    assert (page(world, "ask_for_credits") in shown) == (who != "vera")
    assert page(world, "grant_credits") not in shown
    assert "The people who run this site add credits: Ruth." in shown


def test_staff_grant_in_any_team(world: World, client: Client, root: User) -> None:
    client.force_login(root)
    shown = text(client.get(page(world, "credits")))
    assert page(world, "grant_credits") in shown
    assert page(world, "ask_for_credits") not in shown
    assert f'href="{page(world, "workspace")}"' not in shown  # which staff outside of the team couldn't open


def test_an_allowance_is_shown_to_the_person_it_bounds(world: World, client: Client) -> None:
    allowances.grant(of(world.bob, world.team), limit=10 * CREDIT, period="day")
    spend(world)
    assert "Your allowance" in text(log_in(client, "bob").get(page(world, "credits")))
    assert "Your allowance" not in text(log_in(client, "alice").get(page(world, "credits")))


def test_a_team_without_any_movement(world: World, client: Client) -> None:
    team = open_team("New", world.alice)
    shown = text(log_in(client, "alice").get(reverse("credits", args=[team.slug])))
    assert "No credits have moved yet" in shown
    assert "0</b>" in shown


def test_the_bar_is_full_after_a_grant_and_falls_from_there(world: World) -> None:
    level = level_of(world.team, ledger.balances(world.team), None)
    assert (level.left, level.until_held, level.tone) == (100, 100, "")
    ledger.hold(world.team, 40 * CREDIT, key="h", reference="", actor=world.bob)
    level = level_of(world.team, ledger.balances(world.team), None)
    assert (level.left, level.until_held) == (60, 100)
    ledger.grant(world.team, 10 * CREDIT, key="more")
    assert level_of(world.team, ledger.balances(world.team), None).left == 64


def test_the_bar_is_the_allowances_if_there_is_one(world: World) -> None:
    allowances.grant(of(world.bob, world.team), limit=10 * CREDIT, period="day")
    ledger.hold(world.team, 9 * CREDIT, key="h", reference="", actor=world.bob)
    (standing,) = allowances.spender_standings(world.team, world.bob)
    level = level_of(world.team, ledger.balances(world.team), standing)
    assert (level.left, level.tone) == (10, "doubt")


def test_only_the_oldest_requests_are_shown_and_the_one_that_is_linked(
    world: World, client: Client, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credits_page, "WAITING_SHOWN", 2)
    asked = [
        CreditRequest.objects.create(team=world.team, asked_by=world.bob, microcredits=CREDIT, batch=uuid4())
        for _ in range(4)
    ]
    log_in(client, "root")

    def shown(**query: str) -> list[int]:
        response = client.get(page(world, "credits"), query)
        return [case.asked.pk for case in response.context["waiting"]]

    numbers = [request.pk for request in asked]
    assert shown() == shown(request="x") == shown(request="9" * 30) == numbers[:2]
    assert shown(request=str(numbers[3])) == [*numbers[:2], numbers[3]]
    assert shown(request=str(numbers[0])) == numbers[:2]
    assert "2 of 4 are shown" in text(client.get(page(world, "credits")))
    asked[0].delete()
    asked[1].delete()
    assert "are shown" not in text(client.get(page(world, "credits")))
