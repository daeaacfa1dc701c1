"""List all teams with their credits."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast

from django import forms
from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.ledger.operations import Balances
from accounts.models import LedgerAccount, Membership, Team, Transfer, User
from accounts.teams.permissions import staff_only
from jobs.retention import quota
from pixian_web.staff import paging

MAX_SEARCH = 80
GIGABYTE = 10**9


@dataclass(frozen=True)
class Row:
    """A team as the page shows it. active_at: of its newest transfer."""

    team: Team
    money: Balances
    members: int
    active_at: datetime | None


@staff_only
@require_safe
def staff_teams(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()[:MAX_SEARCH]
    teams = Team.objects.select_related("storage")
    found = _with_figures(teams.filter(name__icontains=search) if search else teams)
    page = paging.page(found, "name", request.GET.get("after", ""))
    return render(
        request, "staff/teams.html", {"rows": _rows(page.rows), "after": page.after, "search": search}
    )


class QuotaForm(forms.Form):
    gigabytes = forms.DecimalField(
        label=gettext_lazy("Storage (GB)"),
        min_value=0,
        max_digits=12,
        decimal_places=3,
        required=False,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        help_text=gettext_lazy("Empty: no bound. New pictures are refused once this much is stored."),
    )


@staff_only
@require_http_methods(["GET", "HEAD", "POST"])
def staff_quota(request: HttpRequest, pk: int) -> HttpResponse:
    """Bound what a team may store."""
    team = get_object_or_404(Team, pk=pk)
    initial = None if team.quota_bytes is None else Decimal(team.quota_bytes) / GIGABYTE
    form = QuotaForm(request.POST if request.method == "POST" else None, initial={"gigabytes": initial})
    if form.is_valid():
        gigabytes = form.cleaned_data["gigabytes"]
        most = None if gigabytes is None else int(gigabytes * GIGABYTE)
        quota.set_quota(team, most, cast("User", request.user))
        messages.success(request, _("The storage of %(team)s is bounded anew.") % {"team": team.name})
        return redirect("staff_teams")
    context = {"team": team, "form": form, "usage": quota.usage(team)}
    return render(request, "staff/quota.html", context)


def _with_figures(teams: QuerySet[Team]) -> QuerySet[Team]:
    """Annotate what an index finds for each row of a page: ``people`` and ``active_at``."""
    theirs = Membership.objects.filter(team=OuterRef("pk")).order_by()
    members = theirs.values("team").annotate(people=Count("pk")).values("people")
    newest = Transfer.objects.filter(team=OuterRef("pk")).order_by("-pk").values("created_at")[:1]
    return teams.annotate(people=Subquery(members, IntegerField()), active_at=Subquery(newest))


def _rows(teams: list[Team]) -> list[Row]:
    money: dict[int, dict[str, int]] = {team.pk: {} for team in teams}
    balances = LedgerAccount.objects.filter(team__in=money)
    for team, kind, balance in balances.values_list("team", "kind", "balance_microcredits"):
        money[team or 0][kind] = abs(balance)
    return [
        Row(team, Balances(**money[team.pk]), vars(team)["people"] or 0, vars(team)["active_at"])
        for team in teams
    ]
