"""Make a person a member, with the allowance that the team set for them if they were one before.

Otherwise a limited member would undo their limit by leaving and coming back, with an older invitation or
through the identity provider. Only those who may limit them lift it (``accounts.views.limits``).
"""

from accounts.audit_log import Action
from accounts.ledger import allowances
from accounts.models import AuditEntry, Membership, Role, Team, User


def join(team: Team, user: User, role: Role, *, from_provider: bool = False) -> tuple[Membership, bool]:
    """Return the user's membership, and if it is new; a member keeps their role. The team must be locked."""
    member, is_new = Membership.objects.get_or_create(
        team=team, user=user, defaults={"role": role, "from_provider": from_provider}
    )
    if is_new:
        _restore_allowance(member)
    return member, is_new


def _restore_allowance(member: Membership) -> None:
    """Set the allowance that the person had when they left; its decision in the audit log still stands."""
    decided = AuditEntry.objects.filter(
        subject=f"user:{member.user_id}", team=member.team_id, action=Action.ALLOWANCE
    )
    last = decided.order_by("-pk").first()
    if last and last.after:  # empty if it was lifted
        terms = last.after
        allowances.grant(
            member,
            limit=terms["limit_microcredits"],
            period=terms["period"],
            warn_percent=terms["warn_percent"],
        )
