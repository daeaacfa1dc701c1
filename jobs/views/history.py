"""Every job of the team, newest first."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.access import enter
from jobs.models import Job
from jobs.views import live

PAGE = 50


@require_GET
def history(request: HttpRequest, team: str) -> HttpResponse:
    """A page of the history. Pages go by key (``before`` the last job shown), so that page 1,000 costs
    what page 1 costs and a new job doesn't shift the rows."""
    member = enter(request, team)
    before = request.GET.get("before", "")
    jobs = (
        Job.objects.with_books()
        .select_related("created_by", "api_key")
        .filter(team=member.team)
        .order_by("-pk")
    )
    if before.isascii() and before.isdigit() and len(before) < 19:
        jobs = jobs.filter(pk__lt=int(before))
    page = list(jobs[: PAGE + 1])
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    address = f"{reverse('history', args=[team])}?before={before}"
    shown = live.context(page[:PAGE], address) | {"team": member.team, "older": older, "before": before}
    if request.headers.get("HX-Request"):
        return live.fragment(request, "jobs/_history.html", shown)
    return render(request, "jobs/history.html", shown)
