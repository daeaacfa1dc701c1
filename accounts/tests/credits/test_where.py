"""Pages say that credits run out, and show staff the requests of all teams."""

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from accounts.credits import requests
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import User
from accounts.tests.teams.team_pages import page, text
from conftest import World


def where(world: World, user: User) -> str:
    shown = render_to_string("accounts/_where_credits.html", {"team": world.team, "user": user})
    return " ".join(shown.split())


@pytest.mark.parametrize(("left", "is_said"), [(10 * CREDIT, False), (10 * CREDIT - 1, True), (0, True)])
def test_it_is_said_when_few_are_left(world: World, left: int, is_said: bool) -> None:
    has = ledger.balances(world.team).available
    ledger.adjust(world.team, left - has, key="poor", actor=world.alice, memo="few")
    assert ("credits are left in this team" in where(world, world.alice)) == is_said


def test_whoever_runs_the_site_is_led_to_the_grant_and_others_to_the_request(world: World) -> None:
    ledger.adjust(world.team, -99 * CREDIT, key="poor", actor=world.alice, memo="few")
    address = page(world, "credits")
    assert f'href="{address}#ask"' in where(world, world.bob)
    world.alice.is_staff = True
    assert f'href="{address}#grant"' in where(world, world.alice)


def test_staff_find_all_teams_requests_in_the_admin(world: World, client: Client) -> None:
    requests.ask(world.team, world.bob, 2_500_000)
    client.force_login(User.objects.create_superuser("root@example.org"))
    shown = text(client.get(reverse("admin:accounts_creditrequest_changelist"), {"decided_at__isempty": "1"}))
    assert "2.5" in shown
    assert f'href="{page(world, "credits")}"' in shown
