"""Coming in: the one-time link and the way to one's team."""

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
"""In a cookie of this path, and in the address that is asked for with it."""
OPENED_SECONDS = 60


@never_cache
@login_not_required
@require_safe
def login_link(request: HttpRequest, number: str, token: str) -> HttpResponse:
    """Log in whoever opens the link, once.

    In two steps, since mail and chat programs look at links before people do: the first sets a cookie and
    leads back here, the second logs in who has kept it. Previews keep none, and HEAD never logs in.
    """
    user = login_links.user_of_link(number, token)
    if user is None:
        messages.error(
            request,
            _(
                "This link has already been used or has expired. Ask the person who runs this site for "
                "a new one."
            ),
        )
        return redirect("account_login")
    # Browsers that load a page before it is asked for say so in Sec-Purpose.
    is_opened = request.method == "GET" and "Sec-Purpose" not in request.headers
    if is_opened and OPENED in request.COOKIES:
        return _logged_in(request, user)
    if OPENED in request.GET:
        return render(request, "accounts/no_cookies.html", status=BAD_REQUEST)
    return _come_back_with_cookie(request)


def _come_back_with_cookie(request: HttpRequest) -> HttpResponse:
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


def _logged_in(request: HttpRequest, user: User) -> HttpResponse:
    # No second factor is asked for. Links are made on the machine that runs this site, by its start-up or by
    # a command, and whoever reads one there may change the database itself. They are also the way back for
    # people whose phone is lost: so a link counts as confirming who one is, which turning a second factor off
    # asks for.
    login(request, user, backend=BACKEND)
    record_authentication(request, user, method="link", reauthenticated=True)
    return redirect("home")


def home(request: HttpRequest) -> HttpResponse:
    """The team that the reader was in last, or their first one, or a page that says there is none."""
    theirs = Team.objects.filter(memberships__user=request.user.pk).order_by("memberships__pk")
    last = theirs.filter(slug=request.session.get(LAST_TEAM, "")).first()
    team = last or theirs.first()
    if team is None:
        return render(request, "accounts/no_team.html")
    return redirect("workspace", team=team.slug)
