"""The teams that a reader can switch to."""

from django import template
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import Team, User

register = template.Library()


@register.simple_tag
def teams_of(user: User | AnonymousUser) -> QuerySet[Team]:
    """By name."""
    return Team.objects.filter(memberships__user=user.pk).order_by("name", "pk")
