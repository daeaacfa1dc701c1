"""Sign in, or connect one's account, through the organisation's identity provider."""

from collections.abc import Callable
from functools import wraps

import requests
from allauth.account.decorators import reauthentication_required
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal import ratelimit
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.internal.flows import connect
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.identity_provider.oidc import IdentityProvider, OidcClient

View = Callable[[HttpRequest, IdentityProvider], HttpResponse]

UNUSABLE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)
"""What a document of another shape than the standard's raises in allauth and in ours."""


def with_provider(view: View) -> Callable[[HttpRequest], HttpResponse]:
    """Pass the provider on, or answer 404 if there is none; turn its failures into a page that says so."""

    @wraps(view)
    def wrapper(request: HttpRequest) -> HttpResponse:
        try:
            provider = get_adapter(request).get_provider(request, provider=settings.OIDC_ISSUER)
        except SocialApp.DoesNotExist as error:
            raise Http404 from error
        try:
            return view(request, provider)
        # An IntegrityError: the same person came in by another request at the same moment.
        except (OAuth2Error, requests.RequestException, IntegrityError, *UNUSABLE) as error:
            response: HttpResponse = render_authentication_error(request, provider, exception=error)
            return response

    return wrapper


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@with_provider
def begin(request: HttpRequest, provider: IdentityProvider) -> HttpResponse:
    """Lead to the provider: to sign in, or, for a user who is signed in, to connect their account."""
    if request.method != "POST":
        return redirect("account_login")  # a link elsewhere must not begin it
    if not ratelimit.consume(request, app="allauth.account", action="identity_provider"):
        refusal: HttpResponse = ratelimit.respond_429(request)  # each start keeps a session
        return refusal
    process = AuthProcess.CONNECT if request.user.is_authenticated else AuthProcess.LOGIN
    response = provider.begin(request, process, get_next_redirect_url(request))
    # A page of ours, and no redirect: browsers apply form-action to each redirect after a form, and the
    # provider may lead to hosts that nobody can list beforehand.
    return render(request, "socialaccount/leaving.html", {"address": response["Location"]})


@never_cache
@login_not_required
@require_safe
@with_provider
def callback(request: HttpRequest, provider: IdentityProvider) -> HttpResponse:  # noqa: ARG001
    """Take the provider's answer; ``accounts.identity_provider.accounts`` decides what becomes of it."""
    answer = OAuth2CallbackView.adapter_view(OidcClient(request, settings.OIDC_ISSUER))
    response: HttpResponse = answer(request)
    return response


@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]
@with_provider
def disconnect(request: HttpRequest, _provider: IdentityProvider) -> HttpResponse:
    """End the user's sign-in through the provider, unless no other way would be left."""
    account = SocialAccount.objects.filter(user=request.user.pk, provider=settings.OIDC_ISSUER).first()
    if account:
        try:
            connect.validate_disconnect(request, account)
        except ValidationError as refusal:
            messages.error(request, refusal.message)
        else:
            connect.disconnect(request, account)
    return redirect("account_email")
