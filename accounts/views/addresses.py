"""An account's e-mail address: changed by confirming another one, and by nothing else."""

from typing import Any

from allauth.account.views import ConfirmEmailView, EmailView
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator


class AddressView(EmailView):  # type: ignore[misc]
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """allauth would make an address primary before it is confirmed, if none of the account's was."""
        if "action_primary" in request.POST:
            return redirect("account_email")
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response


@method_decorator(login_not_required, name="dispatch")
class ConfirmAddressView(ConfirmEmailView):  # type: ignore[misc]
    """Following the link proves whose mailbox it is, and being logged in whose account.

    Otherwise a stranger could ask for somebody else's address, and that person's click would make it theirs.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            address = self.get_object().email_address
        except Http404:
            address = None
        if address and not request.user.is_authenticated:
            return redirect_to_login(request.path)
        if address and address.user_id != request.user.pk:
            return render(request, "account/email_confirm.html", {"email": address.email, "elsewhere": True})
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """It may have become another account's since it was asked for."""
        try:
            with transaction.atomic():
                response: HttpResponse = super().post(*args, **kwargs)
        except IntegrityError:
            shown = {"confirmation": self.object, "email": self.object.email_address.email}
            return render(self.request, "account/email_confirm.html", shown)
        return response
