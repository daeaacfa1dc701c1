"""Who is what in a team: roles change, people go, ownership is handed over; somebody always owns the team.

Each change locks the team's row first, so that of two that together would leave no owner the second one sees
what the first has done. Each states what the member was when it was decided, and changes nothing where that
isn't so any more.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.models import ApiKey, Membership, Role, Team, User
from accounts.teams import invitations


class RefusedError(Exception):
    """It can't be. Nothing was changed."""


class LastOwnerError(RefusedError):
    """Nobody who can log in would own the team any more."""


class ChangedError(RefusedError):
    """Somebody else was faster: the member has another role by now, or has gone."""


@dataclass(frozen=True)
class Taken:
    """What goes with somebody who leaves a team: so many of their API keys, and of their invitations."""

    keys: int
    invitations: int


def takes_along(member: Membership) -> Taken:
    """What would go, in numbers, before anything is done."""
    theirs = ApiKey.objects.filter(owner=member.user, team=member.team, revoked_at=None)
    return Taken(theirs.count(), member.team.invitations.filter(invited_by=member.user).count())


@dataclass(frozen=True)
class HandingOver:
    """What comes of it: so many owners, and so many invitations taken back that a manager may not send."""

    owners: int
    invitations: int


def handing_over(owner: Membership, heir: Membership) -> HandingOver:
    """The same for ``hand_over``."""
    sent = owner.team.invitations.filter(invited_by=owner.user, role=Role.OWNER)
    others = _owners(owner.team_id).exclude(pk__in=[owner.pk, heir.pk])
    return HandingOver(others.count() + 1, sent.count())


def is_last_owner(member: Membership) -> bool:
    return member.role == Role.OWNER and not _owners(member.team_id).exclude(pk=member.pk).exists()


@transaction.atomic
def change_role(member: Membership, role: Role) -> None:
    """Raises LastOwnerError or ChangedError."""
    _lock(member.team_id)
    _become(member, role)
    _keep_owned(member)


@transaction.atomic
def remove(member: Membership, by: User) -> Taken:
    """Their keys stop working, their limit goes; pictures and books stay. Raises LastOwnerError or
    ChangedError."""
    _lock(member.team_id)
    allowances.lift(member)
    taken = Taken(
        keys.revoke_all_of(member.user, member.team, by), invitations.withdraw(member.team, member.user)
    )
    if not _as_seen(member).delete()[0]:
        raise ChangedError(str(member))
    _keep_owned(member)
    return taken


def leave(member: Membership) -> Taken:
    """The same by oneself."""
    return remove(member, member.user)


@transaction.atomic
def hand_over(owner: Membership, heir: Membership) -> None:
    """Make another member an owner and oneself a manager. Raises LastOwnerError or ChangedError."""
    _lock(owner.team_id)
    _become(heir, Role.OWNER)
    _become(owner, Role.MANAGER)
    _keep_owned(owner)


def _lock(team_id: int) -> None:
    """To the end of the transaction. Rows that name the team can still be added: pictures don't wait.
    (SQLite has locked the whole file by then.)"""
    Team.objects.select_for_update(no_key=True).get(pk=team_id)


def _become(member: Membership, role: Role) -> None:
    """Also takes back what they invited others to be and no longer may."""
    if not _as_seen(member).update(role=role):
        raise ChangedError(str(member))
    invitations.withdraw(member.team, member.user, role)


def _as_seen(member: Membership) -> QuerySet[Membership]:
    return Membership.objects.filter(pk=member.pk, role=member.role)


def _keep_owned(changed: Membership) -> None:
    if changed.role == Role.OWNER and not _owners(changed.team_id).exists():
        raise LastOwnerError(str(changed.team))


def _owners(team_id: int) -> QuerySet[Membership]:
    return Membership.objects.filter(team=team_id, role=Role.OWNER, user__is_active=True)
