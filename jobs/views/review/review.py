"""Show what isn't clear about a team's money, or all teams', and take a person's decision on one case."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger.money import display, exact, for_plural
from accounts.models import Role, Team
from accounts.teams.permissions import enter_or_staff, remember, staff_only
from jobs.audit.cases import actions, evidence
from jobs.audit.cases.actions import Action, DecidedMeanwhileError, Decision, RefusedError
from jobs.audit.cases.forms import DecisionForm
from jobs.audit.cases.kinds import Case
from jobs.audit.giving_back import TooMuchError
from jobs.audit.several import Outcome
from jobs.views.review import review_page

BAD_REQUEST = 400


@require_GET
def review(request: HttpRequest, team: str) -> HttpResponse:
    entered, member = enter_or_staff(request, team, Role.MANAGER)
    if member:
        remember(request, entered)
    return review_page.show(request, entered)


@staff_only
@require_GET
def all_reviews(request: HttpRequest) -> HttpResponse:
    return review_page.show(request, None)


@require_POST
def decide_case(request: HttpRequest, team: str, case: str) -> HttpResponse:
    """Do what a person chose about one case, and go on to the next one."""
    entered, _member = enter_or_staff(request, team, Role.MANAGER)
    shown = review_page.case_of(entered, case)
    action = actions.BY_NAME.get(request.POST.get("action", ""))
    if action is None:
        raise Http404
    if action not in actions.available(shown, review_page.user_of(request)):
        return _too_late(request, entered, shown)
    form = DecisionForm(request.POST, action=action)
    if form.is_valid():
        try:
            _take(request, shown, action, form)
        except DecidedMeanwhileError:
            return _too_late(request, entered, shown)
    if form.errors:
        return review_page.show(request, entered, shown=shown, form=form, status=BAD_REQUEST)
    return review_page.back(request, entered, request.POST.get("next", ""))


def _too_late(request: HttpRequest, team: Team, case: Case) -> HttpResponse:
    """Show what the other person decided, or what a second person has still to decide."""
    known = evidence.of(review_page.case_of(team, case.address))
    if known.waiting or known.decision:
        text = _("This waits for a second person already. Nothing was changed.")
    else:
        text = _("Someone else decided this meanwhile. Nothing was done twice.")
    messages.warning(request, text)
    return review_page.back(request, team, case.address)


def _take(request: HttpRequest, case: Case, action: Action, form: DecisionForm) -> None:
    """Do it and say so, or add an error to the form; raise DecidedMeanwhileError."""
    actor, reason, seen = review_page.user_of(request), form.cleaned_data["reason"], form.cleaned_data["seen"]
    try:
        made = actions.take(case, action, Decision(actor, form.amount, reason, seen))
    except TooMuchError as error:
        left = max(error.left_microcredits, 0)
        text = ngettext(
            "At most %(amount)s credit is left to give back.",
            "At most %(amount)s credits are left to give back.",
            for_plural(left),
        )
        form.add_error("credits", text % {"amount": exact(left)})
    except RefusedError as error:
        form.add_error(None, _("The books refuse this, so nothing was changed: %(why)s") % {"why": error})
    else:
        if isinstance(made, Outcome):
            review_page.say(request, made)
        else:
            text = review_page.waits_text() if made else _done_text(case, action, form.amount)
            messages.success(request, text)


def _done_text(case: Case, action: Action, amount: int) -> str:
    count = for_plural(amount)
    texts = {
        "charged": ngettext(
            "%(what)s: %(amount)s credit is booked.", "%(what)s: %(amount)s credits are booked.", count
        ),
        "not_charged": _("%(what)s: nothing was charged, and what was held is given back."),
        "put_off": _("%(what)s waits for the next balance. You can still decide it."),
        "acknowledge": _("%(what)s is acknowledged."),
        "write_off": _("%(what)s: the team has the overage back."),
        "refund": ngettext(
            "%(what)s: %(amount)s credit is refunded.", "%(what)s: %(amount)s credits are refunded.", count
        ),
        "decline": _("%(what)s is declined. The person who reported it reads why."),
        "approve": _("%(what)s: approved and posted."),
        "reject": _("%(what)s: rejected. Nothing was posted."),
    }
    return texts[action.name] % {"what": case.what, "amount": display(amount)}
