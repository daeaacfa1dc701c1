"""Set, change and remove a member's allowance."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.credits import limits
from accounts.ledger import allowances
from accounts.ledger.allowances import Standing
from accounts.ledger.money import to_credits
from accounts.models import ApiKey, Membership, Role, User
from accounts.teams.forms import AllowanceForm
from accounts.teams.permissions import enter
from accounts.views.members import get_member
from accounts.views.team import may_limit


@require_http_methods(["GET", "HEAD", "POST"])
def allowance(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    other = _limited(request, team, pk)
    standing = allowances.member_standings(other.team).get(other.pk)
    return edit_allowance(request, other, str(other.user), standing, "accounts/allowance.html", "team")


def edit_allowance(
    request: HttpRequest,
    spender: Membership | ApiKey,
    name: str,
    standing: Standing | None,
    template: str,
    leads_to: str,
) -> HttpResponse:
    """Show the form of a member's or a key's allowance, and set what it asks for."""
    typed = request.POST if request.method == "POST" else None
    usual = {"period": "month", "warn_percent": 80}
    form = AllowanceForm(typed, initial=_of(standing) if standing else usual | request.GET.dict())
    if form.is_valid():
        chosen = form.cleaned_data
        limits.grant(
            spender,
            cast("User", request.user),
            limit=chosen["credits"],
            period=chosen["period"],
            warn_percent=chosen["warn_percent"],
        )
        messages.success(request, _("The allowance for %(who)s is set.") % {"who": name})
        return redirect(leads_to, team=spender.team.slug)
    shown = {"team": spender.team, "who": name, "pk": spender.pk, "standing": standing, "form": form}
    return render(request, template, shown)


@require_POST
def lift(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Leads back to the form, which holds what was lifted: setting it again is a press of its button."""
    other = _limited(request, team, pk)
    standing = allowances.member_standings(other.team).get(other.pk)
    limits.lift(other, cast("User", request.user))
    said = _("%(who)s no longer has an allowance. If that was a mistake, set it again here.")
    messages.success(request, said % {"who": other.user})
    before = QueryDict(mutable=True)
    before.update(_of(standing) if standing else {})
    return redirect(f"{reverse('allowance', args=[team, pk])}?{before.urlencode()}")


def _limited(request: HttpRequest, team: str, pk: int) -> Membership:
    reader = enter(request, team, Role.MANAGER)
    other = get_member(reader, pk)
    if not may_limit(reader, other.role):
        raise PermissionDenied(
            _("Managers set allowances for members and viewers. Ask an owner of the team.")
        )
    return other


def _of(standing: Standing) -> dict[str, Any]:
    allowance = standing.allowance
    return {
        "credits": to_credits(allowance.limit_microcredits),
        "period": allowance.period,
        "warn_percent": allowance.warn_percent,
    }
