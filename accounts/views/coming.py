"""Sign in by a one-time link, and lead users to their team."""

from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.auth import login_links
from accounts.models import Team, User
from accounts.teams.permissions import LAST_TEAM

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
BAD_REQUEST = 400
OPENED = "opened"
"""The name of a cookie for this path, and of the query parameter that is sent with it."""
OPENED_SECONDS = 60


@never_cache
@login_not_required
@require_safe
def login_link(request: HttpRequest, number: str, token: str) -> HttpResponse:
    """Sign in the person who opens the link, once.

    This takes two requests, because mail and chat programs fetch links before people do. The first sets a
    cookie and redirects back here; the second signs in a client that kept the cookie. Link previews keep
    none, and HEAD never signs in.
    """
    user = login_links.user_of_link(number, token)
    if user is None:
        return _refuse(request)
    # Browsers that prefetch a page say so in Sec-Purpose.
    is_opened = request.method == "GET" and "Sec-Purpose" not in request.headers
    if is_opened and OPENED in request.COOKIES:
        return _sign_in(request, user)
    if OPENED in request.GET:
        return render(request, "accounts/no_cookies.html", status=BAD_REQUEST)
    return _redirect_with_cookie(request)


def _refuse(request: HttpRequest) -> HttpResponse:
    messages.error(
        request,
        _("This link has already been used or has expired. Ask the person who runs this site for a new one."),
    )
    return redirect("account_login")


def _redirect_with_cookie(request: HttpRequest) -> HttpResponse:
    response = redirect(f"{request.path}?{OPENED}=1")
    response.set_cookie(
        OPENED,
        "1",
        max_age=OPENED_SECONDS,
        path=request.path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _sign_in(request: HttpRequest, user: User) -> HttpResponse:
    if not login_links.use_up(user):
        return _refuse(request)
    # No second factor is required. Links are created on the machine that runs this site, at start-up or by a
    # command, and anyone who can read one there can change the database itself. They are also the way back
    # for users who lost their phone, so a link counts as reauthentication, which turning off a second factor
    # needs.
    login(request, user, backend=BACKEND)
    record_authentication(request, user, method="link", reauthenticated=True)
    return redirect("home")


def home(request: HttpRequest) -> HttpResponse:
    """Redirect to the user's last or first team, or say that they have none."""
    theirs = Team.objects.filter(memberships__user=request.user.pk).order_by("memberships__pk")
    last = theirs.filter(slug=request.session.get(LAST_TEAM, "")).first()
    team = last or theirs.first()
    if team is None:
        return render(request, "accounts/no_team.html")
    return redirect("workspace", team=team.slug)
