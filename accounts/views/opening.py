"""Create a team of one's own."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.teams import create
from accounts.teams.forms import TeamForm


@require_http_methods(["GET", "HEAD", "POST"])
def open_team(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and isinstance(request.user, User):
        name = form.cleaned_data["name"]
        team = create.open_team(name, request.user, slug=create.unguessable_slug(name))
        messages.success(request, _("The team %(team)s is created, and you own it.") % {"team": team})
        return redirect("team", team=team.slug)
    return render(request, "accounts/open_team.html", {"form": form})
