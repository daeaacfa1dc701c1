"""Who is what in a team: roles, going, handing over; and two owners who leave at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.models import Allowance, Invitation, Membership, Role, Team, User
from accounts.teams import membership
from accounts.teams.membership import ChangedError, LastOwnerError, Revoked, Transferred
from conftest import World

pytestmark = pytest.mark.both_databases


def of(user: User, team: Team) -> Membership:
    return Membership.objects.select_related("team", "user").get(team=team, user=user)


def roles(team: Team) -> dict[str, Role]:
    found = team.memberships.values_list("user__email", "role")
    return {email.partition("@")[0]: Role(role) for email, role in found}


def invited(team: Team, by: User, role: Role, email: str = "dora@example.org") -> Invitation:
    week = timezone.now() + timedelta(days=7)
    return Invitation.objects.create(
        team=team, email=email, role=role, invited_by=by, expires_at=week, token_sha256=email
    )


def test_a_role_changes(world: World) -> None:
    membership.change_role(of(world.bob, world.team), Role.OWNER)
    membership.change_role(of(world.alice, world.team), Role.VIEWER)
    assert roles(world.team) == {"alice": Role.VIEWER, "bob": Role.OWNER, "vera": Role.VIEWER}


def test_the_last_owner_stays_one(world: World) -> None:
    alice = of(world.alice, world.team)
    assert membership.is_last_owner(alice)
    for change in (
        lambda: membership.change_role(alice, Role.MANAGER),
        lambda: membership.leave(alice),
        lambda: membership.remove(alice, world.bob),
    ):
        with pytest.raises(LastOwnerError):
            change()
    assert roles(world.team)["alice"] == Role.OWNER


def test_an_owner_who_cant_log_in_is_none(world: World) -> None:
    membership.change_role(of(world.bob, world.team), Role.OWNER)
    User.objects.filter(pk=world.bob.pk).update(is_active=False)
    with pytest.raises(LastOwnerError):
        membership.leave(of(world.alice, world.team))
    with pytest.raises(LastOwnerError):
        membership.transfer_ownership(of(world.alice, world.team), of(world.bob, world.team))
    assert roles(world.team)["alice"] == Role.OWNER


def test_whoever_goes_takes_no_key_and_no_allowance_along(world: World) -> None:
    bob, elsewhere = of(world.bob, world.team), Team.objects.get(slug="outsiders")
    mine = [keys.create(world.team, world.bob, name)[0] for name in ("shop", "archive", "old")]
    keys.revoke(mine[2], world.bob)
    kept = [keys.create(world.team, world.alice, "hers")[0], keys.create(elsewhere, world.bob, "other")[0]]
    allowances.grant(bob, limit=1, period="day")

    assert membership.preview_removal(bob) == Revoked(keys=2, invitations=0)
    assert membership.remove(bob, world.alice) == Revoked(keys=2, invitations=0)
    for key in mine + kept:
        key.refresh_from_db()
    assert [key.revoked_by for key in mine] == [world.alice, world.alice, world.bob]
    assert [key.revoked_at for key in kept] == [None, None]
    assert "bob" not in roles(world.team)
    assert not Allowance.objects.exists()


def test_one_leaves_by_oneself(world: World) -> None:
    key = keys.create(world.team, world.bob, "shop")[0]
    membership.leave(of(world.bob, world.team))
    key.refresh_from_db()
    assert key.revoked_by == world.bob
    assert set(roles(world.team)) == {"alice", "vera"}


def test_a_refusal_takes_everything_back(world: World) -> None:
    alice = of(world.alice, world.team)
    key = keys.create(world.team, world.alice, "shop")[0]
    allowances.grant(alice, limit=1, period="day")
    invited(world.team, world.alice, Role.MEMBER)
    with pytest.raises(LastOwnerError):
        membership.leave(alice)
    key.refresh_from_db()
    assert key.revoked_at is None
    assert (Allowance.objects.count(), Invitation.objects.count()) == (1, 1)


def test_the_team_is_handed_over(world: World) -> None:
    alice, bob = of(world.alice, world.team), of(world.bob, world.team)
    invited(world.team, world.alice, Role.OWNER)
    assert membership.preview_transfer(alice, bob) == Transferred(owners=1, invitations=1)
    membership.transfer_ownership(alice, bob)
    assert roles(world.team) == {"alice": Role.MANAGER, "bob": Role.OWNER, "vera": Role.VIEWER}
    assert not Invitation.objects.exists()


def test_invitations_that_their_sender_may_no_longer_send_are_revoked(world: World) -> None:
    """The sender knows the link, and could come back by it with a higher role."""
    membership.change_role(of(world.bob, world.team), Role.OWNER)
    for role in Role:
        invited(world.team, world.bob, role, f"{role.label}@example.org")
    invited(world.team, world.alice, Role.OWNER)
    membership.change_role(of(world.bob, world.team), Role.MANAGER)
    assert world.team.invitations.filter(invited_by=world.bob).count() == 3
    membership.change_role(of(world.bob, world.team), Role.MEMBER)
    assert world.team.invitations.filter(invited_by=world.bob).count() == 0
    assert world.team.invitations.count() == 1


def test_what_has_changed_meanwhile_is_looked_at_again(world: World) -> None:
    seen, alice = of(world.bob, world.team), of(world.alice, world.team)
    membership.change_role(of(world.bob, world.team), Role.MANAGER)
    for change in (
        lambda: membership.change_role(seen, Role.VIEWER),
        lambda: membership.remove(seen, world.alice),
        lambda: membership.transfer_ownership(alice, seen),
        lambda: membership.transfer_ownership(seen, of(world.vera, world.team)),
    ):
        with pytest.raises(ChangedError):
            change()
    assert roles(world.team) == {"alice": Role.OWNER, "bob": Role.MANAGER, "vera": Role.VIEWER}
    membership.remove(of(world.bob, world.team), world.alice)
    with pytest.raises(ChangedError):
        membership.transfer_ownership(alice, seen)
    assert roles(world.team) == {"alice": Role.OWNER, "vera": Role.VIEWER}


# Two at once ---------------------------------------------------------------------------------------


@pytest.fixture
def two_owners(committed_world: World) -> list[Membership]:
    world = committed_world
    membership.change_role(of(world.bob, world.team), Role.OWNER)
    return [of(user, world.team) for user in (world.alice, world.bob)]


def leave_at_once(owners: list[Membership], meet: threading.Barrier) -> list[bool]:
    """Return which of them have left, each with a connection of their own."""

    def leave(owner: Membership) -> bool:
        try:
            if membership.is_last_owner(owner):
                return False
            meet.wait()
            membership.leave(owner)
        except LastOwnerError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(len(owners)) as pool:
        return list(pool.map(leave, owners))


def test_of_two_owners_who_leave_at_once_one_stays(two_owners: list[Membership]) -> None:
    team = two_owners[0].team
    assert sorted(leave_at_once(two_owners, threading.Barrier(2, timeout=30))) == [False, True]
    assert sorted(roles(team).values()) == [Role.VIEWER, Role.OWNER]


def test_without_a_look_under_the_lock_nobody_is_left(
    two_owners: list[Membership], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both have looked, and saw the other, before either has gone."""
    monkeypatch.setattr(membership, "_keep_owned", lambda _changed: None)
    team = two_owners[0].team
    assert leave_at_once(two_owners, threading.Barrier(2, timeout=30)) == [True, True]
    assert list(roles(team).values()) == [Role.VIEWER]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets in one writer at a time")
def test_without_the_lock_the_look_sees_the_other(
    two_owners: list[Membership], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other control: each checks in its own transaction, in which the other hasn't left yet."""
    both_have_looked, keep = threading.Barrier(2, timeout=30), membership._keep_owned

    def look_and_wait(changed: Membership) -> None:
        keep(changed)
        both_have_looked.wait()

    # The ledger's lock, which lifting an allowance takes, would do as well.
    monkeypatch.setattr(allowances, "lift", lambda _member: None)
    monkeypatch.setattr(membership, "lock", lambda _team_id: None)
    monkeypatch.setattr(membership, "_keep_owned", look_and_wait)
    team = two_owners[0].team
    assert leave_at_once(two_owners, threading.Barrier(2, timeout=30)) == [True, True]
    assert list(roles(team).values()) == [Role.VIEWER]
