"""Show a team's credits, take requests for more, and let staff grant them."""

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.credits import requests, statement
from accounts.credits.forms import AskForm, DecideForm, GrantForm
from accounts.credits.requests import AlreadyAskedError, AlreadyDecidedError
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import display, to_credits
from accounts.ledger.operations import DuplicateKeyError
from accounts.models import CreditRequest, Membership, Role, Team, Transfer, User
from accounts.rate_limits import TooFastError
from accounts.teams.permissions import enter, enter_as_staff, enter_or_staff, remember

LINES = 20
DECIDED_SHOWN = 5
CREATED, BAD_REQUEST, CONFLICT, TOO_MANY_REQUESTS = 201, 400, 409, 429


@require_GET
def credits(request: HttpRequest, team: str) -> HttpResponse:
    entered, member = enter_or_staff(request, team)
    if member:
        remember(request, entered)
    return render(request, "accounts/credits.html", page(request, entered, member))


@require_POST
def grant(request: HttpRequest, team: str) -> HttpResponse:
    """Grant the team credits, once for each form that staff was shown."""
    entered = enter_as_staff(request, team)
    form = GrantForm(request.POST)
    if not form.is_valid():
        return _again(request, entered, BAD_REQUEST, grant_form=form)
    amount, key = form.cleaned_data["credits"], f"grant:{form.cleaned_data['token']}"
    try:
        ledger.grant(entered, amount, key=key, actor=_user(request), memo=form.cleaned_data["note"])
    except DuplicateKeyError:
        _tell_repeated(request, key, amount)
    else:
        text = _("%(amount)s credits granted to %(team)s.")
        messages.success(request, text % {"amount": display(amount), "team": entered})
    return redirect("credits", team=team)


@require_POST
def ask(request: HttpRequest, team: str) -> HttpResponse:
    """Ask for credits. A script gets a text; a form the page, or that of the batch which waits for them."""
    member = enter(request, team, Role.MEMBER)
    form = AskForm(request.POST)
    if not form.is_valid():
        if request.headers.get("HX-Request"):
            wrong = [str(message) for messages_ in form.errors.values() for message in messages_]
            return _text(" ".join(wrong), BAD_REQUEST)
        return _again(request, member.team, BAD_REQUEST, member, ask_form=form)
    status, text = _ask(member, form)
    if request.headers.get("HX-Request"):
        return _text(text, status)
    (messages.success if status == CREATED else messages.error)(request, text)
    batch = form.cleaned_data["batch"]
    return redirect(reverse("batch", args=[team, batch]) if batch else reverse("credits", args=[team]))


@require_POST
def decide(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    entered = enter_as_staff(request, team)
    asked = get_object_or_404(CreditRequest.objects.select_related("asked_by"), team=entered, pk=pk)
    form = DecideForm(request.POST, declines="decline" in request.POST, auto_id=f"{pk}-%s")
    if not form.is_valid():
        return _again(request, entered, BAD_REQUEST, decided=(asked.pk, form))
    try:
        requests.decide(asked, form.made, _user(request))
    except AlreadyDecidedError:
        messages.info(request, _("Someone else has decided this request already. Nothing was granted twice."))
    else:
        messages.success(request, _decision_text(asked))
    return redirect("credits", team=team)


def page(
    request: HttpRequest,
    team: Team,
    member: Membership | None,
    *,
    grant_form: GrantForm | None = None,
    ask_form: AskForm | None = None,
    decided: tuple[int, DecideForm] | None = None,
) -> dict[str, object]:
    """Return the page's context, with the forms as submitted if they are invalid."""
    user = _user(request)
    asks = team.credit_requests.select_related("asked_by", "decided_by")
    return {
        "team": team,
        "money": ledger.balances(team),
        "standing": next(iter(allowances.spender_standings(team, user)), None) if member else None,
        "waiting": [_with_form(each, decided) for each in asks.waiting().order_by("pk")],
        "decided": asks.decided().order_by("-decided_at")[:DECIDED_SHOWN],
        "lines": statement.newest(team, LINES),
        "decides": user.is_staff,
        "grant_form": grant_form or GrantForm.blank(request.GET.get("credits", "")),
        "may_ask": member is not None and member.role >= Role.MEMBER,
        "ask_form": ask_form or AskForm(initial=request.GET.dict()),
    }


def _with_form(
    asked: CreditRequest, submitted: tuple[int, DecideForm] | None
) -> tuple[CreditRequest, DecideForm]:
    """Return the request with its form, as submitted if that was invalid."""
    if submitted and submitted[0] == asked.pk:
        return asked, submitted[1]
    return asked, DecideForm(initial={"credits": to_credits(asked.microcredits)}, auto_id=f"{asked.pk}-%s")


def _ask(member: Membership, form: AskForm) -> tuple[int, str]:
    """Record the request; return a status and what to tell the person."""
    amount, note, batch = (form.cleaned_data[name] for name in ("credits", "note", "batch"))
    try:
        requests.ask(member.team, member.user, amount, note, batch)
    except AlreadyAskedError:
        return CONFLICT, _("You have asked already. The people who run this site haven't decided yet.")
    except TooFastError as error:
        text = _("Too many requests at once. You can ask again in %(seconds)s seconds.")
        return TOO_MANY_REQUESTS, text % {"seconds": error.retry_after}
    text = _("You asked for %(amount)s credits. What waits for them starts by itself once they are granted.")
    return CREATED, text % {"amount": display(amount)}


def _tell_repeated(request: HttpRequest, key: str, amount: int) -> None:
    """Say that the form was sent before, and what it granted then."""
    made = Transfer.objects.filter(idempotency_key__in=(key, f"{key}:covers"))
    granted = sum(made.values_list("amount_microcredits", flat=True))
    if granted == amount:
        text = _("This form was sent twice. %(amount)s credits were granted, once.")
        messages.info(request, text % {"amount": display(granted)})
    else:
        text = _("This form granted %(amount)s credits before, so nothing was granted now. Use a new one.")
        messages.error(request, text % {"amount": display(granted)})


def _decision_text(asked: CreditRequest) -> str:
    if asked.is_declined:
        return _("The request of %(who)s is declined. They are told why.") % {"who": asked.asked_by}
    text = _("%(amount)s credits granted. Pictures that waited for them start by themselves.")
    return text % {"amount": display(asked.granted_microcredits or 0)}


def _again(
    request: HttpRequest, team: Team, status: int, member: Membership | None = None, **forms: object
) -> HttpResponse:
    member = member or team.memberships.filter(user=request.user.pk).first()
    context = page(request, team, member, **forms)  # type: ignore[arg-type]
    return render(request, "accounts/credits.html", context, status=status)


def _text(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
