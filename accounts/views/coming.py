"""Coming in: the one-time link and the way to one's team."""

from allauth.account.internal.flows.login import record_authentication
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts import links
from accounts.access import LAST_TEAM
from accounts.models import Team

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@never_cache
@login_not_required
def login_link(request: HttpRequest, number: str, token: str) -> HttpResponse:
    """Logs in whoever holds the link that the start-up printed, once."""
    user = links.user_of_link(number, token)
    if user is None:
        messages.error(
            request, _("This link was used or is too old. Ask the person who runs this site for a new one.")
        )
        return redirect("account_login")
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
    return redirect("atelier", team=team.slug)
