"""Show a team's credits, take requests for more, and let staff grant them."""

from dataclasses import dataclass
from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.credits import grants, requests, statement
from accounts.credits.forms import AskForm, DecideForm, GrantForm
from accounts.credits.requests import (
    AlreadyAskedError,
    AlreadyDecidedError,
    PoolTooSmallError,
    UnlimitedError,
)
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.ledger.money import display, for_plural, to_credits
from accounts.ledger.operations import DuplicateKeyError
from accounts.models import CreditRequest, Membership, Role, Team, Transfer, User
from accounts.rate_limits import TooFastError
from accounts.teams.permissions import enter, enter_as_staff, enter_or_staff, remember

LINES = 20
WAITING_SHOWN = 20
"""Open requests, the oldest first; the others come up as these are decided."""
MAX_DIGITS = 18
"""Of a request's number: more don't fit into the database's."""
DECIDED_SHOWN = 5
CREATED, BAD_REQUEST, CONFLICT, TOO_MANY_REQUESTS = 201, 400, 409, 429


@dataclass(frozen=True)
class Case:
    """An open request as the reader sees it, with the form by which they may decide it.

    limit: the asker's allowance. may_raise: that can be raised, within what the team has; may_grant: new
    credits can be added.
    """

    asked: CreditRequest
    form: DecideForm
    limit: Standing | None
    may_raise: bool
    may_grant: bool


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
        grants.grant(entered, amount, key=key, actor=_user(request), memo=form.cleaned_data["note"])
    except DuplicateKeyError:
        _tell_repeated(request, key, amount)
    else:
        text = ngettext(
            "%(amount)s credit granted to %(team)s.",
            "%(amount)s credits granted to %(team)s.",
            for_plural(amount),
        )
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
    """Grant or decline a request: staff any, a manager within the pool."""
    user = _user(request)
    member = None if user.is_staff else enter(request, team, Role.MANAGER)
    entered = member.team if member else enter_as_staff(request, team)
    asked = get_object_or_404(CreditRequest.objects.select_related("asked_by", "team"), team=entered, pk=pk)
    if member and not asked.decided_at and not requests.within_pool(entered, member).filter(pk=pk).exists():
        raise PermissionDenied(_("The people who run this site, or an owner of the team, decide this one."))
    form = DecideForm(
        request.POST,
        declines="decline" in request.POST,
        from_pool=member is not None or "pool" in request.POST,
        auto_id=f"{pk}-%s",
    )
    if form.is_valid():
        _decide(request, asked, form)
    if not form.is_valid():
        return _again(request, entered, BAD_REQUEST, member, decided=(asked.pk, form))
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
    open_requests = _oldest(asks.waiting(), str(decided[0]) if decided else request.GET.get("request", ""))
    cases = _cases(team, user, member, open_requests, decided)
    return {
        "team": team,
        "money": ledger.balances(team),
        "standing": next(iter(allowances.spender_standings(team, user)), None) if member else None,
        "waiting": cases,
        "open_requests": team.credit_requests.waiting().count()
        if len(cases) >= WAITING_SHOWN
        else len(cases),
        "decided": asks.decided().order_by("-decided_at")[:DECIDED_SHOWN],
        "lines": statement.newest(team, LINES),
        "decides": user.is_staff,
        "grant_form": grant_form or GrantForm.blank(request.GET.get("credits", "")),
        "may_ask": member is not None and member.role >= Role.MEMBER,
        "ask_form": ask_form or AskForm(initial=request.GET.dict()),
    }


def _oldest(waiting: QuerySet[CreditRequest], wanted: str) -> list[CreditRequest]:
    """Return the oldest open requests, and the one with this number wherever it stands."""
    shown = list(waiting.order_by("pk")[:WAITING_SHOWN])
    if wanted.isdecimal() and len(wanted) <= MAX_DIGITS and all(str(each.pk) != wanted for each in shown):
        shown.extend(waiting.filter(pk=int(wanted)))
    return shown


def _cases(
    team: Team,
    user: User,
    member: Membership | None,
    waiting: list[CreditRequest],
    submitted: tuple[int, DecideForm] | None,
) -> list[Case]:
    """Return the open requests, each with its form, as submitted if that was invalid."""
    if not waiting:
        return []
    within = requests.within_pool(team, None if user.is_staff else member)
    decidable = set(within.values_list("pk", flat=True)) if user.is_staff or member else set()
    standings = {
        each.allowance.member.user_id: each
        for each in allowances.member_standings(team).values()
        if each.allowance.member
    }
    forms = dict([submitted]) if submitted else {}
    return [
        Case(
            each,
            forms.get(each.pk) or _blank(each),
            standings.get(each.asked_by_id),
            may_raise=each.pk in decidable,
            may_grant=user.is_staff,
        )
        for each in waiting
    ]


def _blank(asked: CreditRequest) -> DecideForm:
    return DecideForm(initial={"credits": to_credits(asked.microcredits)}, auto_id=f"{asked.pk}-%s")


def _decide(request: HttpRequest, asked: CreditRequest, form: DecideForm) -> None:
    """Decide as the form says, and tell what came of it; what the pool lacks is an error of the form."""
    try:
        requests.decide(asked, form.made, _user(request))
    except AlreadyDecidedError:
        messages.info(request, _("Someone else has decided this request already. Nothing was granted twice."))
    except UnlimitedError:
        text = _("No allowance limits %(who)s any more, so there was nothing to raise. Nothing was granted.")
        messages.error(request, text % {"who": asked.asked_by})
    except PoolTooSmallError as error:
        text = _("The team has only %(available)s available. Grant that much or less within the pool.")
        form.add_error("credits", text % {"available": display(error.available_microcredits)})
    else:
        messages.success(request, _decision_text(asked))


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
    text = ngettext(
        "You asked for %(amount)s credit. What waits for it starts by itself once it is granted.",
        "You asked for %(amount)s credits. What waits for them starts by itself once they are granted.",
        for_plural(amount),
    )
    return CREATED, text % {"amount": display(amount)}


def _tell_repeated(request: HttpRequest, key: str, amount: int) -> None:
    """Say that the form was sent before, and what it granted then."""
    made = Transfer.objects.filter(idempotency_key__in=(key, f"{key}:covers"))
    granted = sum(made.values_list("amount_microcredits", flat=True))
    if granted == amount:
        text = ngettext(
            "This form was sent twice. %(amount)s credit was granted, once.",
            "This form was sent twice. %(amount)s credits were granted, once.",
            for_plural(granted),
        )
        messages.info(request, text % {"amount": display(granted)})
    else:
        text = ngettext(
            "This form granted %(amount)s credit before, so nothing was granted now. Use a new one.",
            "This form granted %(amount)s credits before, so nothing was granted now. Use a new one.",
            for_plural(granted),
        )
        messages.error(request, text % {"amount": display(granted)})


def _decision_text(asked: CreditRequest) -> str:
    if asked.is_declined:
        return _("The request of %(who)s is declined. They are told why.") % {"who": asked.asked_by}
    granted = asked.granted_microcredits or 0
    amount, count = display(granted), for_plural(granted)
    if not asked.from_pool:
        text = ngettext(
            "%(amount)s credit granted. Pictures that waited for it start by themselves.",
            "%(amount)s credits granted. Pictures that waited for them start by themselves.",
            count,
        )
        return text % {"amount": amount}
    (limit, *_keys) = allowances.spender_standings(asked.team, asked.asked_by)
    text = ngettext(
        "%(who)s can spend %(amount)s credit more until %(when)s. Pictures that waited for it start by "
        "themselves.",
        "%(who)s can spend %(amount)s credits more until %(when)s. Pictures that waited for them start by "
        "themselves.",
        count,
    )
    when = date_format(localtime(limit.renews_at), "j N Y, H:i")
    return text % {"who": asked.asked_by, "amount": amount, "when": when}


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
