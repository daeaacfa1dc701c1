"""The tenancy gate: the first line of every view of a team."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from accounts.models import Membership, Role, Team, User

LAST_TEAM = "team"
"""In a session: the slug of the team that was entered last. The way in leads there."""


def enter(request: HttpRequest, team_slug: str, at_least: Role = Role.VIEWER) -> Membership:
    """The reader's membership of the team, with the team at hand.

    Http404 for outsiders, as for a team that doesn't exist: its existence is nobody else's business.
    PermissionDenied for a member whose role doesn't reach.
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


def may_decide(user: User, team: Team) -> bool:
    """Return True if the user may correct the team's ledger: staff, and whoever manages the team."""
    if not user.is_active:
        return False
    manages = user.memberships.filter(team=team, role__gte=Role.MANAGER)
    return user.is_staff or user.is_superuser or manages.exists()


def remember(request: HttpRequest, team: Team) -> None:
    """The pages by which a team is entered say so; what they ask for afterwards doesn't. Pages of two teams
    that lie open would take turns every other second."""
    if request.session.get(LAST_TEAM) != team.slug:
        request.session[LAST_TEAM] = team.slug
