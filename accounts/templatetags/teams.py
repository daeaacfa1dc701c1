"""List the teams that a reader can switch to, and what they may do in the current one."""

from django import template
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import Membership, Role, Team, User

register = template.Library()


@register.simple_tag
def teams_of(user: User | AnonymousUser) -> QuerySet[Team]:
    """Return the user's teams by name."""
    return Team.objects.filter(memberships__user=user.pk).order_by("name", "pk")


@register.simple_tag
def may_make_keys(user: User | AnonymousUser, team: Team) -> bool:
    """Return True for members: viewers have no keys, because a key spends."""
    return Membership.objects.filter(team=team, user=user.pk, role__gte=Role.MEMBER).exists()
