"""An allowance that the team set outlasts leaving, whichever way the person comes back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.credits import limits
from accounts.identity_provider import roles
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Allowance, AuditEntry, Invitation, Membership, Role, User
from accounts.teams import deletion, invitations, membership
from accounts.tests.teams.team_pages import log_in, of, page, text
from conftest import World
from pixian_web import oidc

pytestmark = pytest.mark.both_databases

TERMS: dict[str, Any] = {"limit": 3 * CREDIT, "period": "week", "warn_percent": 60}
Return = Callable[[World, User], None]


def limited(world: World, user: User) -> Membership:
    member = of(user, world.team)
    limits.grant(member, world.alice, **TERMS)
    return member


def by_provider(_world: World, user: User) -> None:
    roles.update(user, ["staff"])


def by_invitation(world: World, user: User) -> None:
    week = timezone.now() + timedelta(days=7)
    sent = Invitation.objects.create(
        team=world.team, email=user.email, role=Role.MEMBER, invited_by=world.alice, expires_at=week
    )
    invitations.accept(sent, user)


@pytest.fixture(autouse=True)
def _groups(settings: Settings) -> None:
    settings.OIDC_GROUPS = oidc.groups("staff=aurora:member")


RETURNS = pytest.mark.parametrize("come_back", [by_provider, by_invitation])


@RETURNS
def test_who_leaves_and_comes_back_is_limited_as_before(world: World, come_back: Return) -> None:
    member, key = limited(world, world.bob), "1"
    ledger.hold(world.team, 2 * CREDIT, key=key, reference=key, actor=world.bob)
    membership.leave(member)
    assert not Allowance.objects.exists()
    come_back(world, world.bob)
    (standing,) = allowances.spender_standings(world.team, world.bob)
    allowance = standing.allowance
    assert (allowance.limit_microcredits, allowance.period, allowance.warn_percent) == tuple(TERMS.values())
    assert standing.used == 2 * CREDIT
    with pytest.raises(AllowanceUsedUpError):
        ledger.hold(world.team, 2 * CREDIT, key="2", reference="2", actor=world.bob)


@RETURNS
def test_a_limit_that_was_lifted_stays_lifted(world: World, come_back: Return) -> None:
    member = limited(world, world.bob)
    limits.lift(member, world.alice)
    membership.leave(member)
    come_back(world, world.bob)
    assert not Allowance.objects.exists()


def test_one_sign_in_without_groups_lifts_nothing(world: World) -> None:
    dora = User.objects.create_user("dora@example.org")
    roles.update(dora, ["staff"])
    limited(world, dora)
    roles.update(dora, [])
    roles.update(dora, ["staff"])
    assert Allowance.objects.get().member == of(dora, world.team)
    entries = AuditEntry.objects.filter(action="allowance")
    assert [entry.actor for entry in entries] == [world.alice]


def test_the_limit_is_one_teams_and_one_persons(world: World) -> None:
    other = of(world.charlie, world.charlie.memberships.get().team)
    limits.grant(other, world.charlie, **TERMS)
    membership.leave(limited(world, world.bob))
    allowances.lift(other)
    by_invitation(world, world.charlie)
    assert not Allowance.objects.exists()


def test_no_page_shows_the_limit_of_who_left(world: World, client: Client) -> None:
    membership.leave(limited(world, world.bob))
    log_in(client, "alice")
    for name in ("team", "usage", "credits"):
        assert "of 3 credits used" not in text(client.get(page(world, name)))
    by_provider(world, world.bob)
    assert "of 3 credits used" in text(client.get(page(world)))


def test_a_deleted_persons_limit_is_gone(world: World) -> None:
    limited(world, world.bob)
    deletion.delete_person(world.bob, world.alice)
    assert not Allowance.objects.exists()
