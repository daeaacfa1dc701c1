"""Following an invitation: what it says, and coming in by a button or as somebody new."""

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


def untold(view: Joining) -> Joining:
    """No other page learns the address, which lets somebody in."""

    @wraps(view)
    def quiet(request: HttpRequest, token: str) -> HttpResponse:
        response = view(request, token)
        response["Referrer-Policy"] = "no-referrer"
        return response

    return quiet


@never_cache
@login_not_required
@untold
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """One page for everybody who holds a link: what it shows depends on who they are. Only its forms
    change something."""
    invitation = invitations.find(token)
    if invitation is None:
        return _gone(request)
    try:
        return _of_user(request, invitation) or _of_stranger(request, invitation)
    except invitations.GoneError:
        return _gone(request)


def _of_user(request: HttpRequest, invitation: Invitation) -> HttpResponse | None:
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


def _of_stranger(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Show everybody the same, so that the link alone doesn't tell whether its address has an account."""
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
    """The same for all that is no good any more, and for what never was."""
    return render(request, "accounts/no_invitation.html", status=NOT_FOUND)


def _welcome(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    messages.success(request, _("You have joined the team %(team)s.") % {"team": invitation.team})
    return redirect("workspace", team=invitation.team.slug)
