"""Roles, going and handing over on the team's page: what is said before and after."""

import pytest
from django.test import Client

from accounts.api_keys import keys
from accounts.models import Membership, Role
from accounts.teams import invitations
from accounts.tests.teams.team_pages import ANSWERS, DORA, log_in, of, page, roles, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def test_a_role_is_changed(world: World, client: Client) -> None:
    answers = {"role": Role.MANAGER.value}
    bob = of(world.bob, world.team)
    response = log_in(client, "alice").post(page(world, "change_role", bob.pk), answers, follow=True)
    assert told(response) == "bob@example.org is now manager (was member)."
    assert roles(world)["bob"] == Role.MANAGER


@pytest.mark.parametrize("role", ["", "0", "5", "boss"])
def test_a_role_that_is_none_is_refused(world: World, client: Client, role: str) -> None:
    address = page(world, "change_role", of(world.bob, world.team).pk)
    assert "Choose a role" in told(log_in(client, "alice").post(address, {"role": role}, follow=True))
    assert roles(world)["bob"] == Role.MEMBER


def test_removing_says_in_numbers_what_goes_before_and_after(world: World, client: Client) -> None:
    for name in ("shop", "archive"):
        keys.create(world.team, world.bob, name)
    invitations.invite(world.team, DORA, Role.MEMBER, world.bob)
    address = page(world, "remove_member", of(world.bob, world.team).pk)
    asked = text(log_in(client, "alice").get(address))
    assert "2 API keys are revoked" in asked
    assert "1 invitation is revoked" in asked
    after = told(client.post(address, follow=True))
    assert after == (
        "bob@example.org was removed from the team. 2 API keys were revoked. 1 invitation was revoked."
    )
    assert "bob" not in roles(world)
    assert log_in(client, "bob").get(page(world)).status_code == 404


def test_leaving(world: World, client: Client) -> None:
    keys.create(world.team, world.bob, "shop")
    assert "1 API key is revoked" in text(log_in(client, "bob").get(page(world, "leave_team")))
    response = client.post(page(world, "leave_team"), follow=True)
    assert "You have left the team Aurora. 1 API key was revoked." in told(response)
    assert "You aren't in a team yet" in text(response)


def test_the_only_owner_is_told_that_they_cant_leave(world: World, client: Client) -> None:
    asked = text(log_in(client, "alice").get(page(world, "leave_team")))
    assert "You are its only owner" in asked
    assert f'action="{page(world, "leave_team")}"' not in asked
    response = client.post(page(world, "leave_team"), follow=True)
    assert "needs an owner" in told(response)
    demoted = client.post(
        page(world, "change_role", of(world.alice, world.team).pk), {"role": 1}, follow=True
    )
    assert "needs an owner" in told(demoted)
    assert roles(world)["alice"] == Role.OWNER


def test_removing_oneself_is_leaving(world: World, client: Client) -> None:
    response = log_in(client, "alice").post(page(world, "remove_member", of(world.alice, world.team).pk))
    assert response["Location"] == page(world, "leave_team")
    assert "alice" in roles(world)


def test_handing_over(world: World, client: Client) -> None:
    address = page(world, "transfer_ownership", of(world.bob, world.team).pk)
    asked = text(log_in(client, "alice").get(address))
    assert "bob@example.org becomes an owner" in asked
    assert "The team then has 1 owner." in asked
    assert "You are a manager" in told(client.post(address, follow=True))
    assert (roles(world)["alice"], roles(world)["bob"]) == (Role.MANAGER, Role.OWNER)
    assert client.post(address).status_code == 403


def test_nobody_hands_over_to_themselves(world: World, client: Client) -> None:
    log_in(client, "alice").post(page(world, "transfer_ownership", of(world.alice, world.team).pk))
    assert roles(world)["alice"] == Role.OWNER


def test_a_change_that_came_too_late_is_said(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = of(world.bob, world.team)
    log_in(client, "alice")
    monkeypatch.setattr(
        "accounts.teams.membership.lock",
        lambda _: Membership.objects.filter(pk=bob.pk).update(role=Role.MANAGER),
    )
    for name in ("change_role", "remove_member", "transfer_ownership"):
        Membership.objects.filter(pk=bob.pk).update(role=Role.MEMBER)
        response = client.post(page(world, name, bob.pk), ANSWERS, follow=True)
        assert "Someone else changed this" in told(response)
    assert roles(world)["alice"] == Role.OWNER
