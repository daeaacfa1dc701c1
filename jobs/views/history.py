"""List every job of the team, newest first."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.teams.permissions import enter
from jobs.search import filters, pagination
from jobs.views import polling

PAGE = 50


@require_GET
def history(request: HttpRequest, team: str) -> HttpResponse:
    """Show a page of the history; ``before`` is the last job of the previous page."""
    member = enter(request, team)
    before = request.GET.get("before", "")
    last = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    page = pagination.page(filters.of_team(member.team), last, PAGE)
    address = f"{reverse('history', args=[team])}?before={before}"
    paging = {"team": member.team, "older": page.older, "before": before}
    context = polling.context(page.rows, address) | paging
    if request.headers.get("HX-Request"):
        return polling.fragment(request, "jobs/_history.html", context)
    return render(request, "jobs/history.html", context)
