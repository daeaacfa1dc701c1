"""Decide several calls in doubt with one confirmation, and correct a team's credits."""

from uuid import uuid4

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.credits import adjustments
from accounts.credits.adjustments import Change, WaitingError
from accounts.ledger.money import exact, for_plural
from accounts.ledger.operations import DuplicateKeyError, InsufficientCreditsError
from accounts.models import Adjustment, Role, Team
from accounts.teams.permissions import enter_as_staff, enter_or_staff, staff_only
from jobs.audit.cases import bulk, queries
from jobs.audit.cases.bulk import Choice
from jobs.audit.cases.forms import BulkForm, CorrectionForm
from jobs.audit.cases.kinds import Case
from jobs.audit.several import AlreadyMadeError
from jobs.views.review import review_page

BAD_REQUEST = 400


@require_POST
def decide_cases(request: HttpRequest, team: str) -> HttpResponse:
    """Ask once about several calls in doubt, with the sum, and decide them."""
    entered, _member = enter_or_staff(request, team, Role.MANAGER)
    return _decide(request, entered)


@staff_only
@require_POST
def decide_all_cases(request: HttpRequest) -> HttpResponse:
    """Do the same for calls of any team."""
    return _decide(request, None)


@require_POST
def correct_credits(request: HttpRequest, team: str) -> HttpResponse:
    """Let staff add credits or take some away, once for each form that they were shown."""
    entered = enter_as_staff(request, team)
    form = CorrectionForm(request.POST, auto_id="correct-%s")
    if not form.is_valid():
        return review_page.show(request, entered, correction=form, status=BAD_REQUEST)
    key = f"adjust:{form.cleaned_data['token']}"
    change = Change(entered, Adjustment.Kind.ADJUST, form.microcredits, form.cleaned_data["reason"], key)
    try:
        waiting = adjustments.make(change, review_page.user_of(request))
    except InsufficientCreditsError as error:
        text = ngettext(
            "Only %(amount)s credit is available; take that much or less.",
            "Only %(amount)s credits are available; take that much or less.",
            for_plural(error.available_microcredits),
        )
        form.add_error("credits", text % {"amount": exact(error.available_microcredits)})
        return review_page.show(request, entered, correction=form, status=BAD_REQUEST)
    except (DuplicateKeyError, WaitingError):
        messages.info(request, _("This form was sent twice. The correction was made once."))
    else:
        messages.success(request, review_page.waits_text() if waiting else _("The credits are corrected."))
    return redirect("review", team=team)


def _decide(request: HttpRequest, team: Team | None) -> HttpResponse:
    choice = request.POST.get("choice", "")
    if choice not in bulk.CHOICES:
        return _nothing(request, team, _("Nothing was changed: no call in doubt is selected."))
    if "confirmed" in request.POST:
        return _confirmed(request, team, choice)
    return _ask(request, team, choice, _chosen(request, team))


def _chosen(request: HttpRequest, team: Team | None) -> list[Case]:
    """Return the calls that were selected one by one, shown before, or all in doubt of the list."""
    if "all" in request.POST:
        only = review_page.calls_form(request)
        if not only.is_valid():
            return []  # all would be more than was asked for
        return queries.doubts(team, only.calls or queries.ALL, request.GET.get("kind", ""))
    if "calls" in request.POST:
        return queries.doubts(team, Q(pk__in=bulk.keys_of(request.POST["calls"])))
    return queries.doubts(team, queries.calls_of(request.POST.getlist("case")))


def _ask(
    request: HttpRequest, team: Team | None, choice: str, cases: list[Case], form: BulkForm | None = None
) -> HttpResponse:
    """Show what would be decided, with the sum at stake and whom it concerns."""
    asked = bulk.bulk(cases[: bulk.MAX_CASES], choice)
    if asked is None:
        return _nothing(
            request, team, _("Nothing was changed: the balances don't say what these calls cost.")
        )
    if not asked.calls:
        return _nothing(request, team, _("Nothing was changed: no call in doubt is selected."))
    context = {
        "team": team,
        "cases": cases[: bulk.MAX_CASES],
        "bulk": asked,
        "left_out": max(len(cases) - bulk.MAX_CASES, 0),
        "balance": None if choice == Choice.BALANCE else bulk.bulk(cases[: bulk.MAX_CASES], Choice.BALANCE),
        "form": form or BulkForm(initial={"token": uuid4(), "calls": asked.shown}),
    }
    return render(request, "jobs/review_bulk.html", context, status=BAD_REQUEST if form else 200)


def _confirmed(request: HttpRequest, team: Team | None, choice: str) -> HttpResponse:
    cases = _chosen(request, team)
    form = BulkForm(request.POST)
    if not form.is_valid():
        return _ask(request, team, choice, cases, form)
    said = form.cleaned_data
    try:
        now = bulk.bulk(cases, choice)
        outcome = bulk.decide(said["calls"], now, said["token"], review_page.user_of(request), said["reason"])
    except AlreadyMadeError:
        messages.info(request, _("This form was sent twice. It was decided once."))
    except WaitingError:
        text = _("Nothing was changed: a decision on one of these calls waits for a second person.")
        messages.warning(request, text)
    else:
        if outcome:
            review_page.say(request, outcome)
        else:
            messages.success(request, review_page.waits_text())
    return review_page.back(request, team)


def _nothing(request: HttpRequest, team: Team | None, text: str) -> HttpResponse:
    messages.warning(request, text)
    return review_page.back(request, team)
