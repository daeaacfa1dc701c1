"""Send the filtered history as CSV, however long it is."""

from django.http import HttpRequest, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.teams.permissions import enter
from jobs.audit import history_export
from jobs.search.forms import FilterForm
from jobs.views import exports


@require_GET
def history_csv(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send every job of the filtered set."""
    member = enter(request, team)
    form = FilterForm(request.GET)
    if not form.is_valid():
        return HttpResponseBadRequest()
    name = f"history-{member.team.slug}-{timezone.localdate():%Y-%m-%d}.csv"
    return exports.attachment(history_export.as_csv(member.team, form.to_filter()), name)
