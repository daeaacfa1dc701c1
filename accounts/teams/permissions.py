"""Check that a user belongs to a team: the first line of every view of a team."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from accounts.models import Membership, Role, Team, User

P = ParamSpec("P")

LAST_TEAM = "team"
"""The session's key for the slug of the team that was entered last; signing in leads there."""


def enter(request: HttpRequest, team_slug: str, at_least: Role = Role.VIEWER) -> Membership:
    """Return the user's membership, with its team loaded.

    Raises Http404 for outsiders, as for a team that doesn't exist, so that they don't learn that it does, and
    PermissionDenied for a member whose role isn't sufficient.
    """
    memberships = Membership.objects.select_related("team", "user")
    try:
        membership = memberships.get(team__slug=team_slug, user=request.user.pk)
    except Membership.DoesNotExist as error:
        raise Http404 from error
    if membership.role < at_least:
        raise PermissionDenied(
            _("Your role in this team is %(role)s, which doesn't allow this. Ask an owner of the team.")
            % {"role": membership.get_role_display()}
        )
    return membership


def enter_or_staff(
    request: HttpRequest, team_slug: str, at_least: Role = Role.VIEWER
) -> tuple[Team, Membership | None]:
    """Return the team, and the user's membership, which staff needn't have; raise what ``enter`` raises."""
    if getattr(request.user, "is_staff", False):
        team = get_object_or_404(Team, slug=team_slug)
        return team, team.memberships.filter(user=request.user.pk).select_related("user").first()
    member = enter(request, team_slug, at_least)
    return member.team, member


def enter_as_staff(request: HttpRequest, team_slug: str) -> Team:
    """Return the team for staff; raise PermissionDenied for its members, and Http404 for outsiders."""
    team, _member = enter_or_staff(request, team_slug)
    if not getattr(request.user, "is_staff", False):
        raise PermissionDenied(_("Only the people who run this site may do this."))
    return team


def staff_only(view: Callable[P, HttpResponseBase]) -> Callable[P, HttpResponseBase]:
    """Show a view to staff alone; everyone else learns nothing, not even that it exists."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        (request, *_others) = args
        if not getattr(getattr(request, "user", None), "is_staff", False):
            raise Http404
        return view(*args, **kwargs)

    return guarded


def may_spend(team_id: int, user_id: int) -> bool:
    """Return True if the user is a member of the team who may spend, and not only look."""
    return spenders(team_id).filter(user=user_id).exists()


def spenders(team_id: int) -> QuerySet[Membership]:
    """Return the memberships of who may spend."""
    return Membership.objects.filter(team=team_id, role__gte=Role.MEMBER)


def may_decide(user: User, team: Team) -> bool:
    """Return True if the user may correct the team's ledger: staff, and whoever manages the team."""
    if not user.is_active:
        return False
    manages = user.memberships.filter(team=team, role__gte=Role.MANAGER)
    return user.is_staff or user.is_superuser or manages.exists()


def remember(request: HttpRequest, team: Team) -> None:
    """Remember in the session that the user entered this team.

    Only the pages that a user enters a team by call this. If their polling did too, two teams' open pages
    would overwrite each other's every two seconds.
    """
    if request.session.get(LAST_TEAM) != team.slug:
        request.session[LAST_TEAM] = team.slug
