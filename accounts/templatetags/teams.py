"""List the teams that a reader can switch to, and what they may do in the current one."""

from django import template
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.credits import requests
from accounts.models import Membership, Role, Team, User

register = template.Library()

THEME_COOKIE = "theme"
THEMES = {"light": _("Light"), "dark": _("Dark"), "system": _("System")}


@register.simple_tag
def teams_of(user: User | AnonymousUser) -> QuerySet[Team]:
    """Return the user's teams by name."""
    return Team.objects.filter(memberships__user=user.pk).order_by("name", "pk")


@register.simple_tag
def membership_of(user: User | AnonymousUser, team: Team | None) -> Membership | None:
    """Return the reader's membership in the team; None for staff who look at another team's credits."""
    return Membership.objects.filter(team=team, user=user.pk).first()


@register.filter
def spends(membership: Membership | None) -> bool:
    """Return True for members: viewers have no keys, because a key spends."""
    return membership is not None and membership.role >= Role.MEMBER


@register.simple_tag
def open_requests(user: User | AnonymousUser, team: Team, member: Membership | None) -> int:
    """Return how many requests for credits wait for the reader's decision."""
    if getattr(user, "is_staff", False):
        return team.credit_requests.waiting().count()
    if member is None or member.role < Role.MANAGER:
        return 0
    return requests.within_pool(team, member).count()


@register.simple_tag
def site_staff() -> list[str]:
    """Return the names of those who add credits, as a person would address them."""
    people = User.objects.filter(is_staff=True, is_active=True).order_by("email")
    return [person.get_full_name() or person.email for person in people]


def known_theme(name: str | None) -> str:
    """Return a theme that there is: this one, or ``system``."""
    return name if name in THEMES else "system"


@register.simple_tag
def theme_of(request: HttpRequest | str) -> str:
    """Return the theme that the reader chose on this device; an error page may have no request."""
    return known_theme(request.COOKIES.get(THEME_COOKIE) if isinstance(request, HttpRequest) else None)


@register.simple_tag
def themes() -> list[tuple[str, Promise]]:
    """Return the themes with their names."""
    return list(THEMES.items())
