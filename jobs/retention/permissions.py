"""Decide who may delete a team's pictures."""

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from accounts.models import Membership, Role


def may_erase(member: Membership, author: int) -> bool:
    """Return True if the member manages the team, or brought in the picture or the batch."""
    return member.role >= Role.MANAGER or (member.role >= Role.MEMBER and member.user_id == author)


def check_may_erase(member: Membership, author: int) -> None:
    """Raise PermissionDenied unless the member may delete it."""
    if not may_erase(member, author):
        raise PermissionDenied(_("Only managers and the person who added it may delete it."))
