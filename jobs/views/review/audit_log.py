"""Show what people decided about a team's credits: who, when, why, and what it changed."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import AuditEntry, Role
from accounts.teams.permissions import enter_or_staff
from jobs.audit import log_pages
from jobs.audit.log_pages import LogFilter
from jobs.search.pagination import key_of
from jobs.views import exports

PAGE = 50


@require_GET
def audit_log(request: HttpRequest, team: str) -> HttpResponse:
    entered, _member = enter_or_staff(request, team, Role.MANAGER)
    log_filter = _filter(request)
    before = key_of(request.GET.get("before", ""))
    page = log_pages.page(entered, log_filter, before, PAGE)
    chosen = {name: text for name, text in vars(log_filter).items() if text}
    context = {
        "team": entered,
        "entries": page.rows,
        "older": page.older,
        "is_newest": before is None,
        "filter": log_filter,
        "query": urlencode(chosen),
        "actions": AuditEntry.Action.choices,
    }
    return render(request, "jobs/audit_log.html", context)


@require_GET
def audit_csv(request: HttpRequest, team: str) -> StreamingHttpResponse:
    entered, _member = enter_or_staff(request, team, Role.MANAGER)
    return exports.attachment(log_pages.csv(entered, _filter(request)), f"{entered.slug}-audit.csv")


def _filter(request: HttpRequest) -> LogFilter:
    action, who = request.GET.get("action", ""), request.GET.get("who", "").strip()
    return LogFilter(action if action in AuditEntry.Action.values else "", who[:80])
