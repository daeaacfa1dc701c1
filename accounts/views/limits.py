"""Set, change and remove a member's allowance."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.ledger import allowances
from accounts.ledger.allowances import Standing
from accounts.ledger.money import to_credits
from accounts.models import Membership, Role
from accounts.teams.forms import AllowanceForm
from accounts.teams.permissions import enter
from accounts.views.members import get_member
from accounts.views.team import may_limit


@require_http_methods(["GET", "HEAD", "POST"])
def allowance(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    other = _limited(request, team, pk)
    standing = allowances.of_members(other.team).get(other.pk)
    typed = request.POST if request.method == "POST" else None
    form = AllowanceForm(typed, initial=initial_allowance(request, standing))
    if form.is_valid():
        allowances.grant(other, **chosen_allowance(form))
        messages.success(request, _("The allowance for %(who)s is set.") % {"who": other.user})
        return redirect("team", team=team)
    shown = {"team": other.team, "who": other.user, "pk": pk, "standing": standing, "form": form}
    return render(request, "accounts/allowance.html", shown)


@require_POST
def lift(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Leads back to the form, which holds what was lifted: setting it again is a press of its button."""
    other = _limited(request, team, pk)
    standing = allowances.of_members(other.team).get(other.pk)
    allowances.lift(other)
    said = _("%(who)s no longer has an allowance. If that was a mistake, set it again here.")
    messages.success(request, said % {"who": other.user})
    before = QueryDict(mutable=True)
    before.update(_of(standing) if standing else {})
    return redirect(f"{reverse('allowance', args=[team, pk])}?{before.urlencode()}")


def _limited(request: HttpRequest, team: str, pk: int) -> Membership:
    reader = enter(request, team, Role.MANAGER)
    other = get_member(reader, pk)
    if not may_limit(reader, other):
        raise PermissionDenied(
            _("Managers set allowances for members and viewers. Ask an owner of the team.")
        )
    return other


def initial_allowance(request: HttpRequest, standing: Standing | None) -> dict[str, Any]:
    usual = {"period": "month", "warn_percent": 80}
    return _of(standing) if standing else usual | request.GET.dict()


def chosen_allowance(form: AllowanceForm) -> dict[str, Any]:
    """What the form asks ``allowances.grant`` for."""
    chosen = form.cleaned_data
    return {"limit": chosen["credits"], "period": chosen["period"], "warn_percent": chosen["warn_percent"]}


def _of(standing: Standing) -> dict[str, Any]:
    allowance = standing.allowance
    return {
        "credits": to_credits(allowance.limit_microcredits),
        "period": allowance.period,
        "warn_percent": allowance.warn_percent,
    }
