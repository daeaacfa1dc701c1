"""Change an account's email address, only ever by confirming another one."""

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
        # allauth would make an unconfirmed address primary if the account has no confirmed one.
        if "action_primary" in request.POST:
            return redirect("account_email")
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response


@method_decorator(login_not_required, name="dispatch")
class ConfirmAddressView(ConfirmEmailView):  # type: ignore[misc]
    """Confirm an address by its emailed link, while signed in to the account that asked for it.

    The link proves who owns the mailbox, the login who owns the account. Otherwise a stranger could ask for
    another person's address, and that person's click would confirm it as the stranger's.
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
        # Another account may have got the address since this one asked for it.
        try:
            with transaction.atomic():
                response: HttpResponse = super().post(*args, **kwargs)
        except IntegrityError:
            context = {"confirmation": self.object, "email": self.object.email_address.email}
            return render(self.request, "account/email_confirm.html", context)
        return response
