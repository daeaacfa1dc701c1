"""Customise allauth: sign-up, limits on wrong passwords, emails and their links."""

from base64 import b32encode
from io import BytesIO
from secrets import token_bytes
from typing import Any, NoReturn
from urllib.parse import urlsplit

import qrcode
import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.core.validators import validate_email
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from qrcode.image.svg import SvgPathFillImage

from accounts.auth import encryption, log_redaction
from accounts.auth.client_ip import client_ip
from accounts.auth.encryption import DecryptionError
from accounts.models import User, normalize_address

log = structlog.get_logger(__name__)

RESET_EMAILS = ("password_reset_key", "unknown_account")
"""Both answer a request for a new password, so that the response doesn't tell who has an account."""

AWAITED_EMAILS = (*RESET_EMAILS, "email_confirmation")
"""A user waits for these; the others only report what was already done."""


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        # Closed by default: a stranger who finds the page must not spend credits.
        return bool(settings.SIGNUP_OPEN)

    def clean_email(self, email: str) -> str:
        normalized = normalize_address(email)
        validate_email(normalized)
        return normalized

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request)

    def pre_authenticate(self, request: HttpRequest, **_credentials: Any) -> None:
        """Limit login attempts by the client's address, never by the account.

        A limit by account would let a stranger lock its owner out. allauth gives the attempt back if the
        password was right.
        """
        used = ratelimit.consume(request, app="allauth.account", action="password")
        if not used:
            self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage = used

    def is_safe_url(self, url: str) -> bool:
        """Treat a URL that can't be parsed (``http://[``) as foreign; allauth would fail on it."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:
            return False

    def validation_error(self, code: str, *args: Any) -> Exception:
        """Return the error for a code; too many wrong passwords or second factors get a page of their own."""
        if code == "too_many_login_attempts":
            raise ImmediateHttpResponse(ratelimit.respond_429(self.request))
        error: Exception = super().validation_error(code, *args)
        return error

    def can_delete_email(self, email_address: Any) -> bool:
        # The address that its owner signs in with stays until another one replaces it.
        return bool(email_address.email != email_address.user.email)

    def get_reset_password_from_key_url(self, key: str) -> str:
        return at_public_url(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return at_public_url(super().get_email_confirmation_url(request, emailconfirmation))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an email; if the mail server fails, tell the user who waits for it.

        Without a mail server, the page for a new password already says that nothing is sent.
        """
        mail = template_prefix.rpartition("/")[2]
        if mail in RESET_EMAILS and log_redaction.emails_are_printed():
            raise ImmediateHttpResponse(redirect(self.request.path))
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:  # smtplib's errors are OSErrors
            log.warning("an email couldn't be sent", template=template_prefix, error=str(error))
            if mail in AWAITED_EMAILS:
                self._report_unsent_email()

    def _report_unsent_email(self) -> NoReturn:
        text = _(
            "The mail server isn't accepting our emails right now, so none was sent. Try again in "
            "a few minutes, or ask the person who runs this site for a sign-in link."
        )
        messages.error(self.request, text)
        raise ImmediateHttpResponse(redirect(self.request.path))


def at_public_url(address: str) -> str:
    """Return the same page at PUBLIC_URL, so that no Host header decides where links in emails lead."""
    return f"{settings.PUBLIC_URL}{urlsplit(address).path}"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def build_totp_svg(self, url: str) -> str:
        """Return the QR code as SVG, dark on white even in dark mode, since scanners need that."""
        file = BytesIO()
        qrcode.make(url, image_factory=SvgPathFillImage).save(file)
        return file.getvalue().decode()

    def generate_authenticator_name(self, user: User, kind: Authenticator.Type) -> str:
        """Return the name of a new passkey until its owner renames it."""
        number = Authenticator.objects.filter(user=user, type=kind).count() + 1
        return _("Passkey %(number)d") % {"number": number}

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret, or a random one if decryption fails.

        No code matches a random secret; the user recovers with a sign-in link.
        """
        try:
            return encryption.decrypt(encrypted_text)
        except DecryptionError:
            log.exception("a second factor can't be decrypted; was SECRET_KEY changed?")
            return b32encode(token_bytes(20)).decode()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Pixian Web"}
