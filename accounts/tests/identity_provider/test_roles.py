"""The memberships that the identity provider's groups stand for: made, changed and taken back."""

import pytest
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.identity_provider import roles
from accounts.models import AuditEntry, Membership, Role, Team, User
from accounts.teams import membership
from accounts.teams.create import open_team
from conftest import World
from pixian_web import oidc

pytestmark = pytest.mark.both_databases

STAFF, LEADS = ["staff"], ["staff", "leads"]


@pytest.fixture
def dora(world: World, settings: Settings) -> User:
    settings.OIDC_GROUPS = oidc.groups("staff=aurora:member, leads=aurora:manager, leads=second:viewer")
    open_team("Second", world.alice)
    return User.objects.create_user("dora@example.org")


def held(user: User) -> dict[str, Role]:
    return {member.team.slug: Role(member.role) for member in user.memberships.select_related("team")}


def test_groups_give_teams_and_roles_and_take_them_back(dora: User) -> None:
    roles.update(dora, STAFF)
    assert held(dora) == {"aurora": Role.MEMBER}
    roles.update(dora, LEADS)
    assert held(dora) == {"aurora": Role.MANAGER, "second": Role.VIEWER}
    roles.update(dora, STAFF)
    assert held(dora) == {"aurora": Role.MEMBER}
    roles.update(dora, ["others"])
    assert held(dora) == {}


def test_each_change_has_a_line_in_the_audit_log(dora: User) -> None:
    for groups in (LEADS, LEADS, STAFF, []):
        roles.update(dora, groups)
    entries = AuditEntry.objects.filter(team__slug="aurora", action="provider_role").order_by("pk")
    assert [(entry.before, entry.after) for entry in entries] == [
        ({}, {"role": "manager"}),
        ({"role": "manager"}, {"role": "member"}),
        ({"role": "member"}, {}),
    ]
    assert {(entry.subject, entry.actor) for entry in entries} == {(f"user:{dora.pk}", dora)}


def test_the_default_team_is_for_everyone_and_the_highest_role_counts(dora: User, settings: Settings) -> None:
    settings.OIDC_TEAM, settings.OIDC_ROLE = "aurora", "viewer"
    roles.update(dora, [])
    assert held(dora) == {"aurora": Role.VIEWER}
    roles.update(dora, STAFF)
    assert held(dora) == {"aurora": Role.MEMBER}


@pytest.mark.parametrize("groups", [[], STAFF, LEADS])
def test_a_membership_that_a_person_made_stays(world: World, dora: User, groups: list[str]) -> None:
    for user, role in ((world.alice, Role.OWNER), (world.bob, Role.MEMBER), (world.vera, Role.VIEWER)):
        roles.update(user, groups)
        assert held(user)["aurora"] == role


def test_a_role_that_an_owner_changed_stays(world: World, dora: User) -> None:
    roles.update(dora, STAFF)
    membership.change_role(dora.memberships.get(), Role.VIEWER)
    for groups in (LEADS, []):
        roles.update(dora, groups)
        assert held(dora)["aurora"] == Role.VIEWER


def test_the_last_owner_stays(world: World, dora: User) -> None:
    roles.update(dora, STAFF)
    alice = Membership.objects.get(team=world.team, user=world.alice)
    membership.transfer_ownership(alice, dora.memberships.get())
    membership.remove(Membership.objects.get(pk=alice.pk), world.alice)
    roles.update(dora, [])
    assert held(dora) == {"aurora": Role.OWNER}
    # A process of the release before promotes without taking the mark off.
    Membership.objects.filter(user=dora).update(from_provider=True)
    roles.update(dora, [])
    assert held(dora) == {"aurora": Role.OWNER}


def test_who_leaves_the_group_loses_their_keys(world: World, dora: User) -> None:
    roles.update(dora, STAFF)
    key, _credentials = keys.create(world.team, dora, "shop")
    roles.update(dora, [])
    key.refresh_from_db()
    assert key.revoked_at


def test_a_team_that_is_not_there_gives_nothing(dora: User, settings: Settings) -> None:
    settings.OIDC_GROUPS = oidc.groups("staff=nowhere:member, staff=second:member")
    Team.objects.filter(slug="second").update(deleted_at="2026-01-01T00:00Z")
    assert roles.wanted(STAFF) == {}
