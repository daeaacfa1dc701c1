"""Opening a team: its owner, its slug, its first credits."""

import pytest
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Role, Team, Transfer
from accounts.teams.create import open_team
from conftest import World

pytestmark = pytest.mark.both_databases


def test_a_team_opens_with_an_owner_and_credits(world: World) -> None:
    team = open_team("Studio Nord", world.bob, 25 * CREDIT)

    assert (team.name, team.slug) == ("Studio Nord", "studio-nord")
    membership = team.memberships.get()
    assert (membership.user, membership.role) == (world.bob, Role.OWNER)
    assert ledger.balances(team) == Balances(available=25 * CREDIT)
    granted = ledger.transfers(team).get()
    assert (granted.kind, granted.actor) == ("grant", world.bob)


def test_no_credits_are_no_transfer(world: World) -> None:
    before = Transfer.objects.count()
    team = open_team("Poor", world.bob)
    assert ledger.balances(team) == Balances()
    assert Transfer.objects.count() == before


@pytest.mark.parametrize("name", ["Atelier Émile", "a" * 80, "日本", "?!", "under_score", "a" * 39 + " b"])
def test_every_name_has_slugs_of_its_own_that_an_address_can_hold(world: World, name: str) -> None:
    slugs = {open_team(name, world.bob).slug for _ in range(3)}
    assert len(slugs) == 3
    for slug in slugs:
        assert reverse("workspace", args=[slug])
        Team.objects.get(slug=slug).clean_fields()
