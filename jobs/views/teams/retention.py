"""Show how long a team keeps its pictures and what will go, and change it."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from accounts.models import Role, Team
from accounts.teams.permissions import enter
from jobs.retention import due, quota

MAX_DAYS = 36_500


class RetentionForm(forms.Form):
    days = forms.IntegerField(
        label=gettext_lazy("Keep pictures for (days)"),
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
        # A text field: a number field turns "8,5" into 85.
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
        help_text=gettext_lazy("Empty: for good."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def retention(request: HttpRequest, team: str) -> HttpResponse:
    """Show what goes and when; a shorter time is saved once its sender has seen what it deletes."""
    posted = request.method == "POST"
    member = enter(request, team, Role.MANAGER if posted else Role.VIEWER)
    form = RetentionForm(request.POST if posted else None, initial={"days": member.team.keep_days})
    context = {"team": member.team, "form": form, "usage": quota.usage(member.team)}
    context |= {"manages": member.role >= Role.MANAGER, "owns": member.role == Role.OWNER}
    if form.is_valid():
        days = form.cleaned_data["days"]
        if not due.is_shorter(member.team, days) or "sure" in request.POST:
            due.keep_for(member.team, days, member.user)
            messages.success(request, _saved(days))
            return redirect("retention", team=team)
        context["asked"] = _ahead(member.team, days)
    return render(request, "jobs/retention.html", context | {"now": _ahead(member.team)})


def _ahead(team: Team, days: int | None = None) -> dict[str, object]:
    """Return what goes at the next run and in the week after, with this time or the present one."""
    days = days or team.keep_days
    return {
        "days": days,
        "next": due.going(team, days),
        "week": due.going(team, days, ahead=due.SHOWN_AHEAD),
        "starts": team.keep_from if due.is_on_hold(team) else None,
    }


def _saved(days: int | None) -> str:
    if days is None:
        return _("Pictures are kept for good.")
    text = ngettext("Pictures are kept for %(days)s day.", "Pictures are kept for %(days)s days.", days)
    return text % {"days": days}
