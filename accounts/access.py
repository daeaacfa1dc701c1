"""The tenancy gate: the first line of every view of a team."""

from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from accounts.models import Membership, Role, Team

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


def remember(request: HttpRequest, team: Team) -> None:
    """The pages by which a team is entered say so; what they ask for afterwards doesn't. Pages of two teams
    that lie open would take turns every other second."""
    if request.session.get(LAST_TEAM) != team.slug:
        request.session[LAST_TEAM] = team.slug


def client_ip(request: HttpRequest) -> str:
    """Where a request comes from, as far as that can be believed.

    Each proxy adds the address that it was asked from to X-Forwarded-For. So the last TRUSTED_PROXIES of them
    were written by ours, the first of these names the sender, and what stands before it the sender made up.
    A request that came by fewer proxies is told by its connection.
    """
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    told = _address(hops[-trusted]) if 0 < trusted <= len(hops) else None
    return told or str(request.META.get("REMOTE_ADDR", ""))


def _address(hop: str) -> str | None:
    """Without the port that some proxies add; None where it is no address."""
    host = hop.strip()
    if host.count(":") == 1 or host.startswith("["):
        host = host.removeprefix("[").partition("]" if "]" in host else ":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


class SignInMiddleware(LoginRequiredMiddleware):
    """Every page asks for a log-in unless it is marked otherwise.

    A script's request is told so with a 401, since a redirect would hand it the log-in page as if that
    were its answer.
    """

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        # Django asks the database who is there even if nobody has to be, and a probe mustn't wait for that.
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponse:  # type: ignore[override]
        if request.headers.get("HX-Request"):
            message = _("You are logged out. Log in again in another tab, then try once more.")
            return HttpResponse(message, status=401, content_type="text/plain; charset=utf-8")
        return super().handle_no_permission(request, view_func)
