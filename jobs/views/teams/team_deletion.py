"""Delete a team, after a page that says what goes, what stays, and what has to be settled first."""

from typing import cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.ledger import operations as ledger
from accounts.models import Role, Team, User
from accounts.teams.permissions import enter_or_staff
from jobs.retention import teams
from jobs.retention.teams import UnsettledError


class DeleteTeamForm(forms.Form):
    """The team's name, typed to confirm."""

    name = forms.CharField(
        label=gettext_lazy("Type the team's name to confirm"),
        max_length=80,
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    def __init__(self, team: Team, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.team = team

    def clean_name(self) -> str:
        """Compare without regard to case and blanks, as people type."""
        name: str = self.cleaned_data["name"]
        if " ".join(name.split()).casefold() != " ".join(self.team.name.split()).casefold():
            raise forms.ValidationError(_("That isn't the team's name. Nothing was deleted."))
        return name


@require_http_methods(["GET", "HEAD", "POST"])
def delete_team(request: HttpRequest, team: str) -> HttpResponse:
    found, member = enter_or_staff(request, team, Role.OWNER)
    form = DeleteTeamForm(found, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            teams.delete_team(found, cast("User", request.user))
        except UnsettledError:
            messages.error(request, _("Something of the team isn't settled yet. Nothing was deleted."))
        else:
            text = _("The team %(team)s was deleted. Its pictures are being deleted now.")
            messages.success(request, text % {"team": found.name})
            return redirect("home" if member else "staff_teams")
    context = {"team": found, "form": form, "unsettled": teams.unsettled(found)}
    return render(request, "jobs/delete_team.html", context | {"money": ledger.balances(found)})
