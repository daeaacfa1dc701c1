"""Find the team's pictures again, newest first, with their money."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.formats import number_format
from django.views.decorators.http import require_GET

from accounts.models import Team
from accounts.teams.permissions import enter
from jobs.search import facets, filters
from jobs.search.forms import FilterForm
from jobs.search.pagination import Page, key_of
from jobs.views import polling
from jobs.views.history import history_chips

PAGE = 50
BAD_REQUEST = 400


@require_GET
def history(request: HttpRequest, team: str) -> HttpResponse:
    """Show a page of the history; ``before`` is the last job of the previous page.

    A script gets a part: the rows to poll them, or all below the search field after it changed. Without a
    script, ``counts`` asks for the figures along with the page.
    """
    member = enter(request, team)
    form = FilterForm(request.GET)
    template = _template(request)
    if not form.is_valid():
        context = {"team": member.team, "form": form, "problem": True}
        return _answer(request, template, context, 200 if _is_part(request) else BAD_REQUEST)
    before = request.GET.get("before", "")
    page = filters.page(member.team, form.to_filter(), key_of(before), PAGE)
    context = _context(member.team, form, page, before)
    if template == "jobs/_history.html":
        return polling.fragment(request, template, context)
    wanted = facets.facets(member.team, form.to_filter()) if "counts" in request.GET else None
    return _answer(request, template, context | _figures(member.team, form, wanted))


@require_GET
def history_counts(request: HttpRequest, team: str) -> HttpResponse:
    """Count and sum the filtered set, after the page that lists it has come."""
    member = enter(request, team)
    form = FilterForm(request.GET)
    if not form.is_valid():
        return HttpResponse(status=BAD_REQUEST)
    counted = facets.facets(member.team, form.to_filter())
    context = {"team": member.team, "form": form, "query": form.query()}
    return render(request, "jobs/_history_counts.html", context | _figures(member.team, form, counted))


def _template(request: HttpRequest) -> str:
    if not _is_part(request):
        return "jobs/history.html"
    is_search = request.headers.get("HX-Target") == "results"
    return "jobs/_history_results.html" if is_search else "jobs/_history.html"


def _is_part(request: HttpRequest) -> bool:
    # After "back", htmx may ask for the whole page again.
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def _context(team: Team, form: FilterForm, page: Page[Any], before: str) -> dict[str, Any]:
    query = form.query()
    path = reverse("history", args=[team.slug])
    address = f"{path}?{query}&before={before}" if query else f"{path}?before={before}"
    paging = {"team": team, "form": form, "query": query, "older": page.older, "before": before}
    return polling.context(page.rows, address) | paging


def _figures(team: Team, form: FilterForm, counted: facets.Facets | None) -> dict[str, Any]:
    total = number_format(counted.total, force_grouping=True) if counted else ""
    return {"facets": counted, "total": total, "groups": history_chips.groups(team, form, counted)}


def _answer(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    if template == "jobs/_history_results.html" and "HX-Boosted" not in request.headers:
        # What was typed, without the fields that are empty.
        query = context.get("query", request.GET.urlencode())
        response["HX-Replace-Url"] = f"{request.path}?{query}" if query else request.path
    return response
