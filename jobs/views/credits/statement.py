"""Show a team's statement, and send it as a file."""

from collections.abc import Callable, Iterator

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from accounts.credits.statement import lines
from accounts.ledger import operations as ledger
from accounts.models import Membership, Team
from accounts.teams.permissions import enter_or_staff
from jobs.audit import statement as export
from jobs.models import Batch
from jobs.search import statement as search
from jobs.search.statement import StatementFilter
from jobs.search.statement_form import StatementForm
from jobs.views import exports, scripts

PAGE = 50
OK, BAD_REQUEST = 200, 400
Write = Callable[[Team, StatementFilter], Iterator[bytes]]


@require_GET
def statement(request: HttpRequest, team: str) -> HttpResponse:
    """Show a page of the statement; ``before`` is the last transfer of the previous page."""
    entered, member = enter_or_staff(request, team)
    form = StatementForm(entered, request.GET)
    is_valid = form.is_valid()
    shown = _shown(request, entered, member, form) if is_valid else {}
    context = {"team": entered, "form": form, "money": ledger.balances(entered)} | shown
    return render(request, "jobs/statement.html", context, status=OK if is_valid else BAD_REQUEST)


@require_safe
def statement_csv(request: HttpRequest, team: str) -> HttpResponseBase:
    return _file(request, team, export.as_csv, "csv", exports.CSV)


@require_safe
def statement_json(request: HttpRequest, team: str) -> HttpResponseBase:
    return _file(request, team, export.as_json, "json", "application/json")


def _shown(
    request: HttpRequest, team: Team, member: Membership | None, form: StatementForm
) -> dict[str, object]:
    chosen, before = form.chosen, form.cleaned_data["before"]
    page = search.page(team, chosen, before, PAGE)
    told = lines(page.rows)
    for line in told:
        if line.person and line.person.pk == chosen.person:
            form.offer("person", line.person.pk, str(line.person))
    if chosen.batch and (named := Batch.objects.filter(team=team, pk=chosen.batch).first()):
        form.offer("batch", named.pk, named.name)
    names = export.names_of_pictures(team, page.rows)
    query = request.GET.copy()
    query.pop("before", None)
    return {
        "lines": [(line, names.get(line.picture or 0, "")) for line in told],
        "opens_pictures": member is not None,  # staff may read any statement, and not every picture
        "sums": search.sums(team, chosen) if chosen else None,
        "chosen": chosen,
        "said": form.said(),
        "query": query.urlencode(),
        "before": before,
        "older": page.older,
        "summed_at_most": search.SUMMED_AT_MOST,
    }


def _file(request: HttpRequest, team: str, write: Write, ending: str, content_type: str) -> HttpResponseBase:
    entered, _member = enter_or_staff(request, team)
    form = StatementForm(entered, request.GET)
    if not form.is_valid():
        wrong = [str(message) for messages in form.errors.values() for message in messages]
        return scripts.text(" ".join(wrong), BAD_REQUEST)
    name = f"statement-{entered.slug}.{ending}"
    return exports.attachment(write(entered, form.chosen), name, content_type)
