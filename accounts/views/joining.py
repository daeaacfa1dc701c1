"""Show an invitation, and let its holder join, with their account or a new one."""

from collections.abc import Callable
from functools import wraps

from allauth.account.internal.flows.login import record_authentication
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.auth.email_addresses import is_confirmed
from accounts.models import Invitation, Membership, User
from accounts.teams import invitations
from accounts.teams.forms import NewPersonForm
from accounts.views.coming import BACKEND

NOT_FOUND = 404
Joining = Callable[[HttpRequest, str], HttpResponse]


def without_referrer(view: Joining) -> Joining:
    """Keep the invitation's address, which lets someone in, from every other page."""

    @wraps(view)
    def wrapper(request: HttpRequest, token: str) -> HttpResponse:
        response = view(request, token)
        response["Referrer-Policy"] = "no-referrer"
        return response

    return wrapper


@never_cache
@login_not_required
@without_referrer
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Show the holder of a link what they can do with it; only the page's forms change anything."""
    invitation = invitations.find(token)
    if invitation is None:
        return _gone(request)
    try:
        return _join_as_user(request, invitation) or _join_as_stranger(request, invitation)
    except invitations.GoneError:
        return _gone(request)


def _join_as_user(request: HttpRequest, invitation: Invitation) -> HttpResponse | None:
    user = request.user
    if not isinstance(user, User):
        return None
    if Membership.objects.filter(team=invitation.team, user=user).exists():
        return redirect("workspace", team=invitation.team.slug)
    if user.email != invitation.email:
        return _page(request, invitation, "other")
    if not is_confirmed(user):
        return _page(request, invitation, "unconfirmed")
    if request.method != "POST":
        return _page(request, invitation, "invited")
    invitations.accept(invitation, user)
    return _welcome(request, invitation)


def _join_as_stranger(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Offer a new account, even for an address that has one, so that the link doesn't tell."""
    form = NewPersonForm(invitation.email, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _page(request, invitation, "stranger", form)
    try:
        user = invitations.accept_as_new(invitation, form.cleaned_data["name"], form.cleaned_data["password"])
    except IntegrityError:
        return _page(request, invitation, "known")  # the address has an account
    login(request, user, backend=BACKEND)
    record_authentication(request, user, method="password")
    return _welcome(request, invitation)


def _page(
    request: HttpRequest, invitation: Invitation, who: str, form: NewPersonForm | None = None
) -> HttpResponse:
    return render(request, "accounts/join.html", {"invitation": invitation, "who": who, "form": form})


def _gone(request: HttpRequest) -> HttpResponse:
    """Give the same response for an invalid invitation and for one that never existed."""
    return render(request, "accounts/no_invitation.html", status=NOT_FOUND)


def _welcome(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    messages.success(request, _("You have joined the team %(team)s.") % {"team": invitation.team})
    return redirect("workspace", team=invitation.team.slug)
