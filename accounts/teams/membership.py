"""Change roles, remove members and transfer ownership, always leaving the team an owner.

Each change locks the team's row first. So of two changes that together would leave no owner, the second sees
what the first did. Each also names the role that the member had when the user decided, and does nothing if
that has changed since.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.models import ApiKey, Membership, Role, User
from accounts.teams import invitations
from accounts.teams.locks import lock


class RefusedError(Exception):
    """The change isn't possible. Nothing was changed."""


class LastOwnerError(RefusedError):
    """The team would be left without an owner who can sign in."""


class ChangedError(RefusedError):
    """Another user was faster: the member's role has changed, or they have left."""


@dataclass(frozen=True)
class Revoked:
    """The numbers of API keys and invitations that are revoked when their owner leaves a team."""

    keys: int
    invitations: int


def preview_removal(member: Membership) -> Revoked:
    """Count what would be revoked if the member left."""
    theirs = ApiKey.objects.filter(owner=member.user, team=member.team, revoked_at=None)
    return Revoked(theirs.count(), member.team.invitations.filter(invited_by=member.user).count())


@dataclass(frozen=True)
class Transferred:
    """The number of owners after a transfer, and of invitations revoked that a manager may not send."""

    owners: int
    invitations: int


def preview_transfer(owner: Membership, heir: Membership) -> Transferred:
    """Count what ``transfer_ownership`` would do."""
    sent = owner.team.invitations.filter(invited_by=owner.user, role=Role.OWNER)
    others = _owners(owner.team_id).exclude(pk__in=[owner.pk, heir.pk])
    return Transferred(others.count() + 1, sent.count())


def is_last_owner(member: Membership) -> bool:
    return member.role == Role.OWNER and not _owners(member.team_id).exclude(pk=member.pk).exists()


@transaction.atomic
def change_role(member: Membership, role: Role, *, from_provider: bool = False) -> None:
    """Give the member another role. Raises LastOwnerError or ChangedError.

    Once a person has changed it, the identity provider no longer does (``from_provider``).
    """
    lock(member.team_id)
    _become(member, role, from_provider=from_provider)
    _keep_owned(member)


@transaction.atomic
def remove(member: Membership, by: User) -> Revoked:
    """Remove a member with their keys, allowance and invitations; pictures and books stay.

    If they come back, so does the allowance (``accounts.teams.joining``). Raises LastOwnerError or
    ChangedError.
    """
    lock(member.team_id)
    allowances.lift(member)
    revoked = Revoked(
        keys.revoke_all_of(member.user, member.team, by), invitations.withdraw(member.team, member.user)
    )
    if not _as_seen(member).delete()[0]:
        raise ChangedError(str(member))
    _keep_owned(member)
    return revoked


def leave(member: Membership) -> Revoked:
    """Remove oneself from the team; see ``remove``."""
    return remove(member, member.user)


@transaction.atomic
def transfer_ownership(owner: Membership, heir: Membership) -> None:
    """Make another member an owner, and the owner a manager. Raises LastOwnerError or ChangedError."""
    lock(owner.team_id)
    _become(heir, Role.OWNER)
    _become(owner, Role.MANAGER)
    _keep_owned(owner)


def _become(member: Membership, role: Role, *, from_provider: bool = False) -> None:
    if not _as_seen(member).update(role=role, from_provider=from_provider):
        raise ChangedError(str(member))
    invitations.withdraw(member.team, member.user, role)  # those that the new role doesn't allow


def _as_seen(member: Membership) -> QuerySet[Membership]:
    return Membership.objects.filter(pk=member.pk, role=member.role)


def _keep_owned(changed: Membership) -> None:
    if changed.role == Role.OWNER and not _owners(changed.team_id).exists():
        raise LastOwnerError(str(changed.team))


def _owners(team_id: int) -> QuerySet[Membership]:
    return Membership.objects.filter(team=team_id, role=Role.OWNER, user__is_active=True)
