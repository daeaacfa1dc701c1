"""Decide which account a person of the identity provider signs in to, and who gets a new one."""

from typing import Any, NoReturn

import requests
import structlog
from allauth.account.internal.flows.manage_email import assess_unique_email
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.auth.email_addresses import is_confirmed
from accounts.identity_provider import roles
from accounts.identity_provider.bounded_session import BoundedSession
from accounts.models import User

log = structlog.get_logger(__name__)

LOGGED = 300
"""Characters of an error; a token endpoint's answer may be a whole page."""


class OidcAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """The provider makes nobody staff, and opens an account of staff only if its user has connected it.

    Whoever becomes staff keeps the connection that they had, which may have been made by address.
    """

    def get_requests_session(self) -> requests.Session:
        return BoundedSession()

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """Return the account that has a verified address here, which is then connected for good.

        Its address must be confirmed here too: else a stranger may have claimed it, and would share the
        account.
        """
        for address in sociallogin.email_addresses:
            user = User.objects.filter(email=address.email, is_staff=False, is_superuser=False).first()
            if address.verified and user and is_confirmed(user):
                return user, address.email
        return None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:  # noqa: ARG002
        connects = sociallogin.state.get("process") == AuthProcess.CONNECT
        if sociallogin.is_existing and sociallogin.user.is_active and not connects:
            roles.update(sociallogin.user, _groups(sociallogin))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        """Let in those whom the provider's groups put into a team; SIGNUP_OPEN is about everyone else."""
        email = sociallogin.user.email
        if not roles.wanted(_groups(sociallogin)):
            self._refuse(
                _(
                    "%(provider)s doesn't give your account access to any team here. Ask the person who "
                    "runs this site."
                )
            )
        if not email:
            self._refuse(
                _("%(provider)s didn't pass on your email address. Ask the person who runs this site.")
            )
        # An address that an account has asked for but never confirmed keeps nobody out, as in SignUpForm.
        EmailAddress.objects.filter(email=email, verified=False).exclude(user__email=email).delete()
        if assess_unique_email(email) is not True:
            self._refuse(
                _(
                    "Your email address already has an account here. Sign in to it another way; then connect "
                    "it with %(provider)s on the page Account."
                )
            )
        return True

    @transaction.atomic
    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        roles.update(user, _groups(sociallogin))
        return user

    def get_connect_redirect_url(self, *_request_and_account: object) -> str:
        return reverse("account_email")

    def on_authentication_error(
        self,
        request: HttpRequest,
        _provider: object,
        error: str | None = None,
        exception: Exception | None = None,
        **_more: object,
    ) -> NoReturn:
        """Explain on the sign-in page what went wrong, and in the log why."""
        said = request.GET.get("error", "")
        cause = {"error": repr(exception)[:LOGGED], "said": said[:LOGGED]}
        log.warning("no sign-in through the identity provider", **cause)
        if error == AuthError.CANCELLED:
            self._refuse(_("Signing in through %(provider)s was cancelled."))
        if isinstance(exception, requests.RequestException):
            self._refuse(
                _(
                    "%(provider)s can't be reached right now. Try again in a few minutes, or sign in "
                    "another way."
                )
            )
        self._refuse(
            _(
                "Signing in through %(provider)s didn't work. Try again; if it happens again, tell the "
                "person who runs this site."
            )
        )

    def _refuse(self, text: str) -> NoReturn:
        messages.error(self.request, text % {"provider": settings.OIDC_NAME})
        page = "account_email" if self.request.user.is_authenticated else "account_login"
        raise ImmediateHttpResponse(redirect(page))


def _groups(sociallogin: SocialLogin) -> list[str]:
    groups: list[str] = sociallogin.account.extra_data["groups"]
    return groups
