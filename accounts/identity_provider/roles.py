"""Give users the memberships that the identity provider's groups stand for, and take back only those.

A membership that a person made or changed has ``from_provider`` False, and nothing here touches it. So the
provider neither lowers an owner nor leaves a team without one.
"""

from collections.abc import Collection

import structlog
from django.conf import settings
from django.db import transaction

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import Membership, Role, Team, User
from accounts.teams import membership
from accounts.teams.joining import join
from accounts.teams.locks import lock
from accounts.teams.membership import RefusedError

log = structlog.get_logger(__name__)


def wanted(groups: Collection[str]) -> dict[Team, Role]:
    """Return the teams of these groups with the highest role that one of them gives."""
    pairs = [pair for group in groups for pair in settings.OIDC_GROUPS.get(group, [])]
    if settings.OIDC_TEAM:
        pairs.append((settings.OIDC_TEAM, settings.OIDC_ROLE))
    roles: dict[str, Role] = {}
    for slug, name in pairs:
        roles[slug] = max(Role[name.upper()], roles.get(slug, Role.VIEWER))
    teams = {team.slug: team for team in Team.objects.filter(slug__in=roles, deleted_at=None)}
    if unknown := sorted(roles.keys() - teams.keys()):
        log.error("OIDC_TEAM or OIDC_GROUPS names teams that don't exist", teams=unknown)
    return {team: roles[slug] for slug, team in teams.items()}


@transaction.atomic
def update(user: User, groups: Collection[str]) -> None:
    """Make the user's memberships what their groups stand for now, with a line in the audit log for each."""
    roles = wanted(groups)
    theirs = user.memberships.select_related("team", "user").filter(from_provider=True)
    kept = {member.team: member for member in theirs.exclude(role=Role.OWNER)}
    # In the order of the teams, whose rows are locked one after the other.
    for team in sorted(roles.keys() | kept.keys(), key=lambda team: team.pk):
        try:
            _update(user, team, kept.get(team), roles.get(team))
        except RefusedError as error:  # somebody changed it at the same moment; their change stands
            log.warning("a membership of the identity provider was left as it is", error=repr(error))


def _update(user: User, team: Team, member: Membership | None, role: Role | None) -> None:
    before = Role(member.role) if member else None
    if member is None and role is not None:
        if not lock(team.pk):
            return
        _member, is_new = join(team, user, role, from_provider=True)
        if not is_new:  # by a person's decision, which stands
            return
    elif member and role is None:
        membership.remove(member, user)
    elif member and role is not None and role != before:
        membership.change_role(member, role, from_provider=True)
    else:
        return
    audit_log.record(
        Action.PROVIDER_ROLE,
        f"user:{user.pk}",
        actor=user,
        team=team,
        before={"role": before.name.lower()} if before else {},
        after={"role": role.name.lower()} if role else {},
    )
