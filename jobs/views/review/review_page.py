"""Build the page of cases: the list at the left, and one case with its evidence and actions."""

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.ledger.money import to_credits
from accounts.models import Team, User
from jobs.audit.cases import actions, evidence, queries
from jobs.audit.cases.forms import CallsForm, CorrectionForm, DecisionForm
from jobs.audit.cases.kinds import Case
from jobs.audit.several import Outcome
from jobs.models import Attempt

MAX_PAGE_DIGITS = 3
MAX_NAMED = 20


def show(
    request: HttpRequest,
    team: Team | None,
    *,
    shown: Case | None = None,
    form: DecisionForm | None = None,
    correction: CorrectionForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the cases of the team, or of all teams, and one of them: the one asked for, or the first.

    form, correction: as submitted, if they are invalid.
    """
    asked, kind, only = request.GET.get("case", ""), request.GET.get("kind", ""), calls_form(request)
    page = queries.page(team, kind, _number(request.GET.get("page", "")), only.calls)
    is_chosen = bool(shown or asked)
    shown = shown or (case_of(team, asked) if asked else next(iter(page.cases), None))
    before, after = _neighbours(page.cases, shown)
    context: dict[str, Any] = {
        "team": team,
        "page": page,
        "kind": kind,
        "only": only,
        "listed": _listed(request),
        "shown": shown,
        "is_chosen": is_chosen,
        "before": before,
        "after": after,
    }
    if team and only.calls is None:
        context["cases_waiting"] = sum(page.counts.values())
    if shown:
        context |= _of_one(shown, user_of(request), form)
    if team and user_of(request).is_staff:
        context["correction"] = correction or CorrectionForm.blank()
    return render(request, "jobs/review.html", context, status=status)


def calls_form(request: HttpRequest) -> CallsForm:
    """Return the form that narrows the list down, as the page's address fills it in."""
    form = CallsForm(request.GET, auto_id="only-%s")
    if not user_of(request).is_staff:
        del form.fields["account"]  # what the upstream knows the site by is nothing for teams
    return form


def say(request: HttpRequest, outcome: Outcome) -> None:
    """Tell what became of several calls."""
    if done := len(outcome.done):
        text = ngettext("%(count)s case is decided.", "%(count)s cases are decided.", done)
        messages.success(request, text % {"count": done})
    if outcome.late:
        text = _("Decided by someone else meanwhile, or changed since you saw it, so left alone: %(which)s.")
        messages.warning(request, text % {"which": _names(outcome.late)})
    if outcome.refused:
        text = _("Couldn't be booked, and stays as it was: %(which)s.")
        messages.error(request, text % {"which": _names(outcome.refused)})


def waits_text() -> str:
    return _("This waits for a second person to approve it. Nothing is posted until then.")


def _names(attempts: list[Attempt]) -> str:
    names = ", ".join(attempt.job.name for attempt in attempts[:MAX_NAMED])
    more = len(attempts) - MAX_NAMED
    return f"{names} +{more}" if more > 0 else names


def _listed(request: HttpRequest) -> str:
    """Return the part of the address that says which cases are listed, for links within the list."""
    asked = ((name, request.GET.get(name, "")) for name in ("kind", *CallsForm.base_fields))
    return urlencode([(name, value) for name, value in asked if value])


def case_of(team: Team | None, address: str) -> Case:
    case = queries.find(team, address)
    if case is None:
        raise Http404
    return case


def back(request: HttpRequest, team: Team | None, case: str = "") -> HttpResponseRedirect:
    """Return to the list that the reader came from, at this case."""
    everywhere = request.POST.get("list") == "all" and user_of(request).is_staff
    page = reverse("review", args=[team.slug]) if team and not everywhere else reverse("all_reviews")
    known = queries.ADDRESS.fullmatch(case)
    return HttpResponseRedirect(f"{page}?{urlencode({'case': case})}" if known else page)


def user_of(request: HttpRequest) -> User:
    return cast("User", request.user)


def _of_one(case: Case, user: User, form: DecisionForm | None) -> dict[str, Any]:
    """Return what the page says about the case, and the form with its buttons."""
    buttons = actions.available(case, user)
    asks_amount = any(action.asks_amount for action in buttons)
    amount = actions.suggested(case) if asks_amount else None
    initial = {"seen": actions.seen(case), "credits": "" if amount is None else str(to_credits(amount))}
    return {
        "actions": buttons,
        "asks_amount": asks_amount,
        "form": form or DecisionForm(initial=initial),
        "evidence": evidence.of(case),
    }


def _neighbours(cases: list[Case], shown: Case | None) -> tuple[Case | None, Case | None]:
    addresses = [case.address for case in cases]
    if shown is None or shown.address not in addresses:
        return None, next(iter(cases), None)
    at = addresses.index(shown.address)
    return cases[at - 1] if at else None, cases[at + 1] if at + 1 < len(cases) else None


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_PAGE_DIGITS
    return max(1, int(text)) if is_number else 1
