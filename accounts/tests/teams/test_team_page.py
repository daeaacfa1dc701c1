"""The team's page: who sees what, and who may change what."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Allowance, Invitation, Membership, Role, Team, User
from accounts.teams import invitations
from accounts.tests.teams.team_pages import (
    ANSWERS,
    DORA,
    LEVELS,
    log_in,
    of,
    page,
    roles,
    row,
    text,
)
from conftest import World

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("who", LEVELS)
def test_everybody_sees_the_people_and_managers_what_they_spend(
    world: World, client: Client, mona: User, who: str
) -> None:
    for user in (world.bob, world.vera):
        allowances.grant(of(user, world.team), limit=10 * CREDIT, period="day")
    ledger.hold(world.team, 8_500_000, key="hold", reference="", actor=world.bob)
    invitations.invite(world.team, DORA, Role.MEMBER, world.alice)
    log_in(client, who)
    User.objects.filter(pk=world.bob.pk).update(last_login=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))

    response = client.get(page(world))
    assert response.status_code == 200
    seen = "last seen 4 March 2026, 05:06"
    for expected in ("alice@example.org", "Mona Manager", "mona@example.org", seen):
        assert expected in text(response)
    manages = LEVELS[who] >= Role.MANAGER
    bobs, veras = (row(response, of(user, world.team)) for user in (world.bob, world.vera))
    assert ("8.5 of 10 credits used today, 1.5 left" in bobs) == (manages or who == "bob")
    assert ("80 percent or more used" in bobs) == (manages or who == "bob")
    assert ("0 of 10 credits used today" in veras) == (manages or who == "vera")
    assert (DORA in text(response)) == manages
    assert (page(world, "invite") in text(response)) == manages
    assert (page(world, "rename_team") in text(response)) == (who == "alice")
    assert (page(world, "remove_member", of(world.bob, world.team).pk) in bobs) == (who == "alice")


@pytest.mark.parametrize("who", LEVELS)
def test_the_bar_leads_nobody_where_they_are_refused(
    world: World, client: Client, mona: User, who: str
) -> None:
    bar = re.search("<header.*?</header>", text(log_in(client, who).get(page(world))))
    assert bar
    links = set(re.findall(r'href="(/t/[^"]*)"', bar[0]))
    assert (page(world, "keys") in links) == (LEVELS[who] >= Role.MEMBER)
    assert {client.get(link).status_code for link in links} == {200}


def test_outsiders_and_strangers_see_nothing(world: World, client: Client) -> None:
    assert client.get(page(world)).status_code == 302
    assert log_in(client, "charlie").get(page(world)).status_code == 404


def test_a_used_up_allowance_is_said_so(world: World, client: Client) -> None:
    allowances.grant(of(world.bob, world.team), limit=CREDIT, period="month")
    ledger.hold(world.team, CREDIT, key="hold", reference="", actor=world.bob)
    shown = row(log_in(client, "alice").get(page(world)), of(world.bob, world.team))
    assert "1 of 1 credit used this month, 0 left" in shown
    assert "used up" in shown
    assert "renews" in shown


def test_a_large_team_costs_as_many_queries_as_a_small_one(world: World, client: Client) -> None:
    log_in(client, "alice").get(page(world))
    counts = []
    for more in (range(2), range(2, 10)):
        for number in more:
            user = User.objects.create_user(f"{number}@example.org")
            member = Membership.objects.create(team=world.team, user=user)
            allowances.grant(member, limit=CREDIT, period="day")
        with CaptureQueriesContext(connection) as captured:
            assert client.get(page(world)).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


CHANGES = {
    "rename_team": Role.OWNER,
    "invite": Role.MANAGER,
    "change_role": Role.OWNER,
    "remove_member": Role.OWNER,
    "transfer_ownership": Role.OWNER,
    "revoke_invitation": Role.MANAGER,
    "allowance": Role.MANAGER,
    "lift_allowance": Role.MANAGER,
}


@pytest.mark.parametrize("who", [*LEVELS, "charlie"])
@pytest.mark.parametrize("name", CHANGES)
def test_who_may_change_what(world: World, client: Client, mona: User, name: str, who: str) -> None:
    invitation = invitations.invite(world.team, DORA, Role.MEMBER, world.alice).invitation
    bob = of(world.bob, world.team)
    if name == "lift_allowance":
        allowances.grant(bob, limit=5, period="week")
    target = invitation.pk if name == "revoke_invitation" else bob.pk
    address = page(world, name, *([] if name in ("rename_team", "invite") else [target]))

    def state() -> list[Any]:
        found: list[Any] = [Team.objects.get(pk=world.team.pk).name]
        for rows in (Membership.objects, Invitation.objects, Allowance.objects):
            found += rows.order_by("pk").values()
        return found

    before = state()
    response = log_in(client, who).post(address, ANSWERS)
    allowed = LEVELS.get(who, 0) >= CHANGES[name]
    assert response.status_code in ((200, 302) if allowed else (404,) if who == "charlie" else (403,))
    assert (state() != before) == allowed


@pytest.mark.parametrize("name", CHANGES)
def test_a_link_alone_changes_nothing(world: World, client: Client, name: str) -> None:
    parts = [] if name in ("rename_team", "invite") else [of(world.bob, world.team).pk]
    asks_first = name in ("remove_member", "transfer_ownership", "allowance")
    assert log_in(client, "alice").get(page(world, name, *parts)).status_code == (200 if asks_first else 405)
    assert roles(world) == {"alice": Role.OWNER, "bob": Role.MEMBER, "vera": Role.VIEWER}


@pytest.mark.parametrize(
    "name", ["change_role", "remove_member", "transfer_ownership", "allowance", "lift_allowance"]
)
def test_members_of_other_teams_are_not_found(world: World, client: Client, name: str) -> None:
    others = Membership.objects.get(user=world.charlie)
    for pk in (others.pk, 0, 10**30):
        assert log_in(client, "alice").post(page(world, name, pk), ANSWERS).status_code == 404
    assert Membership.objects.get(user=world.charlie).role == Role.OWNER


@pytest.mark.parametrize(
    "name", ["invite", "rename_team", "leave_team", "change_role", "remove_member", "lift_allowance"]
)
def test_forged_forms_are_refused(world: World, name: str) -> None:
    client = Client(enforce_csrf_checks=True)
    bob = of(world.bob, world.team)
    parts = [] if name in ("invite", "rename_team", "leave_team") else [bob.pk]
    assert log_in(client, "alice").post(page(world, name, *parts), ANSWERS).status_code == 403
