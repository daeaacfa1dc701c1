"""Opening a team, naming it, coming back to it and changing between several."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role, Team
from accounts.teams import create
from accounts.tests.teams.team_pages import log_in, of, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def test_anybody_opens_a_team_without_credits(world: World, client: Client) -> None:
    log_in(client, "vera")
    assert "0 credits" in text(client.get(reverse("open_team")))
    response = client.post(reverse("open_team"), {"name": "  Studio \n Nord "}, follow=True)
    team = Team.objects.get(slug__startswith="studio-nord-")
    assert (team.name, of(world.vera, team).role) == ("Studio Nord", Role.OWNER)
    assert response.redirect_chain == [(reverse("team", args=[team.slug]), 302)]
    assert "This team has 0 credits" in text(response)
    assert f"manage.py grant {team.slug}" in text(response)
    assert "This team has 0 credits" not in text(client.get(page(world)))


def test_an_address_does_not_tell_of_other_teams(world: World, client: Client) -> None:
    """Aurora exists, Zephyr doesn't, and charlie is in neither."""
    log_in(client, "charlie")
    for name in ("Aurora", "Zephyr"):
        client.post(reverse("open_team"), {"name": name})
    slugs = world.charlie.memberships.values_list("team__slug", flat=True)
    assert [slug for slug in slugs if re.fullmatch(r"(aurora|zephyr)-[0-9a-f]{6}", slug)] == list(slugs)[1:]


@pytest.mark.parametrize("name", ["", "   ", "\n", "\u200b", "x" * 81])
def test_a_team_needs_a_name(world: World, client: Client, name: str) -> None:
    before = Team.objects.count()
    assert 'role="alert"' in text(log_in(client, "alice").post(reverse("open_team"), {"name": name}))
    response = client.post(page(world, "rename_team"), {"name": name})
    assert 'role="alert"' in text(response)
    assert Team.objects.count() == before
    assert Team.objects.get(pk=world.team.pk).name == "Aurora"


def test_another_name_keeps_the_address(world: World, client: Client) -> None:
    response = log_in(client, "alice").post(page(world, "rename_team"), {"name": "Boreal"}, follow=True)
    assert "now called Boreal" in told(response)
    world.team.refresh_from_db()
    assert (world.team.name, world.team.slug) == ("Boreal", "aurora")


def test_strangers_open_nothing(db: None, client: Client) -> None:
    assert client.post(reverse("open_team"), {"name": "Mine"}).status_code == 302
    assert not Team.objects.exists()


def test_the_way_in_leads_to_the_team_of_last_time(world: World, client: Client) -> None:
    later = create.open_team("Later", world.bob)
    log_in(client, "bob")
    for team, name in ((later, "workspace"), (world.team, "team"), (later, "team")):
        client.get(reverse(name, args=[team.slug]))
        assert client.get(reverse("home"))["Location"] == reverse("workspace", args=[team.slug])
    Membership.objects.filter(team=later).delete()
    assert client.get(reverse("home"))["Location"] == reverse("workspace", args=["aurora"])


def test_whoever_is_in_several_teams_can_change(world: World, client: Client) -> None:
    log_in(client, "bob")
    assert 'class="switcher"' not in text(client.get(page(world)))
    create.open_team("Boréal & Co", world.bob)
    for address in (page(world), reverse("account_change_password"), page(world, "history")):
        shown = text(client.get(address, follow=True))
        (menu,) = re.findall('<details class="switcher">(.*?)</details>', shown)
        assert re.findall('href="([^"]+)"', menu) == [
            reverse("workspace", args=["aurora"]),
            reverse("workspace", args=["boreal-co"]),
            reverse("open_team"),
        ]


@pytest.mark.parametrize("who", ["alice", "bob", "vera"])
def test_the_bar_leads_to_the_team_and_to_ones_account(world: World, client: Client, who: str) -> None:
    shown = text(log_in(client, who).get(page(world, "workspace")))
    assert f'href="{page(world)}"' in shown
    assert f'href="{reverse("account_email")}"' in shown
