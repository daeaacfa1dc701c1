"""Let staff enter what came onto the upstream account, or left it other than by a call."""

from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from accounts.fields import CreditsField, MomentField
from accounts.ledger.money import exact, for_plural
from accounts.models import User
from accounts.teams.permissions import staff_only
from jobs.audit import purchases
from jobs.audit.purchases import AlreadyEnteredError
from jobs.models import Purchase, UpstreamAccount
from jobs.search import pagination
from jobs.search.date_range import FIRST_DAY
from jobs.views.staff.reconciliation import chosen_account

PAGE = 50
MAX_NOTE = 400
BAD_REQUEST = 400
MOMENT = "%Y-%m-%dT%H:%M:%S"


class PurchaseForm(forms.Form):
    """A purchase to enter once."""

    token = forms.UUIDField(widget=forms.HiddenInput)
    offset = forms.CharField(required=False, widget=forms.HiddenInput)
    """The UTC offset of a time that a link filled in; the browser's own field can't carry one."""
    bought_at = MomentField(
        label=gettext_lazy("When"),
        input_formats=[MOMENT, "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        widget=forms.DateTimeInput({"type": "datetime-local", "step": "1"}, MOMENT),
        help_text=gettext_lazy("As Pixian's invoice says, in this site's time zone."),
    )
    credits = CreditsField(
        label=gettext_lazy("Credits"),
        help_text=gettext_lazy("Below zero for credits that expired or left other than by a call."),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=MAX_NOTE,
        help_text=gettext_lazy("The invoice, or what explains the difference."),
    )

    def clean_bought_at(self) -> datetime:
        moment: datetime = self.cleaned_data["bought_at"]
        second = moment.replace(fold=1)  # the same one, unless clocks repeat it
        if f"{second:%z}" == self.cleaned_data.get("offset"):
            moment = second
        if moment > timezone.now():
            raise forms.ValidationError(_("This is in the future. Enter it once the credits are there."))
        if moment.date() < FIRST_DAY:
            raise forms.ValidationError(_("This is too long ago."))
        return moment

    def clean_credits(self) -> int:
        amount: int = self.cleaned_data["credits"]
        if not amount:
            raise forms.ValidationError(_("Enter an amount other than 0."))
        return amount


@staff_only
@require_http_methods(["GET", "POST"])
def purchases_page(request: HttpRequest) -> HttpResponse:
    """List an account's purchases, and enter another one."""
    account = chosen_account(request)
    if request.method == "POST":
        if account is None:
            messages.error(request, _("No account was used yet, so nothing can have been bought for it."))
            return redirect("purchases")
        return _enter(request, account)
    return _page(request, account, PurchaseForm(initial=_filled_in(request.GET) | {"token": uuid4()}))


def _filled_in(query: QueryDict) -> dict[str, Any]:
    """Return what a link fills in. Its time may have an offset, which then is a field of its own."""
    values = {name: query.get(name, "") for name in ("bought_at", "credits", "note")}
    try:
        moment = parse_datetime(values["bought_at"])
        if moment and timezone.is_aware(moment):
            local = timezone.localtime(moment)
            values |= {"bought_at": f"{local:{MOMENT}}", "offset": f"{local:%z}"}
    except (ValueError, OverflowError):
        pass  # the form says what is wrong with it
    return values


def _enter(request: HttpRequest, account: UpstreamAccount) -> HttpResponse:
    form = PurchaseForm(request.POST)
    if not form.is_valid():
        return _page(request, account, form, status=BAD_REQUEST)
    said = form.cleaned_data
    like = purchases.like(account, said["bought_at"], said["credits"])
    if like and like.token != said["token"] and "confirmed" not in request.POST:
        return _page(request, account, form, like=like, status=BAD_REQUEST)
    user = cast("User", request.user)
    try:
        entered = purchases.enter(
            account, said["bought_at"], said["credits"], said["note"], user, said["token"]
        )
    except AlreadyEnteredError as error:
        text = ngettext(
            "This form was sent before: %(amount)s credit is already entered, once.",
            "This form was sent before: %(amount)s credits are already entered, once.",
            for_plural(error.purchase.microcredits),
        )
        messages.info(request, text % {"amount": exact(error.purchase.microcredits)})
    else:
        text = ngettext(
            "%(amount)s credit entered. The periods around it are computed again.",
            "%(amount)s credits entered. The periods around it are computed again.",
            for_plural(entered.microcredits),
        )
        messages.success(request, text % {"amount": exact(entered.microcredits)})
    return redirect(f"{reverse('purchases')}?book={account.pk}")


def _page(
    request: HttpRequest,
    account: UpstreamAccount | None,
    form: PurchaseForm,
    like: Purchase | None = None,
    status: int = 200,
) -> HttpResponse:
    before = pagination.key_of(request.GET.get("before", ""))
    rows = Purchase.objects.filter(account=account).select_related("entered_by")
    page = pagination.page(rows, before, PAGE)
    context = {"account": account, "form": form, "like": like, "page": page}
    return render(request, "jobs/purchases.html", context, status=status)
