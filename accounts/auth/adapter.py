"""What allauth asks us: who may sign up, what a wrong password counts, where mails and their links go."""

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

from accounts.auth import log_redaction
from accounts.auth.client_ip import client_ip
from accounts.auth.encryption import DecryptionError
from accounts.auth.encryption import decrypt as unseal
from accounts.auth.encryption import encrypt as seal
from accounts.models import User, normalize_address

log = structlog.get_logger(__name__)

RESETS = ("password_reset_key", "unknown_account")
"""What asking for a new password sends. Its link lets in whoever reads it; where there is none, that mustn't
tell who has an account."""

ASKED_FOR = (*RESETS, "email_confirmation")
"""Mails that somebody waits for; the others tell of what has been done already."""


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """By default nobody does: a stranger who finds the page must not spend credits."""
        return bool(settings.SIGNUP_OPEN)

    def clean_email(self, email: str) -> str:
        normalized = normalize_address(email)
        validate_email(normalized)
        return normalized

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request)

    def pre_authenticate(self, request: HttpRequest, **_credentials: Any) -> None:
        """Counts a try by where it comes from, and never by whose password is tried: a stranger would lock
        its owner out. allauth gives the try back where the password was right."""
        used = ratelimit.consume(request, app="allauth.account", action="password")
        if not used:
            self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage = used

    def is_safe_url(self, url: str) -> bool:
        """Treat an address that can't be parsed (``http://[``) as foreign; allauth would break on it."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:
            return False

    def validation_error(self, code: str, *args: Any) -> Exception:
        """Too many wrong passwords or second factors are no error of a form, but a page of its own."""
        if code == "too_many_login_attempts":
            raise ImmediateHttpResponse(ratelimit.respond_429(self.request))
        error: Exception = super().validation_error(code, *args)
        return error

    def can_delete_email(self, email_address: Any) -> bool:
        """The address in use stays until another one replaces it: it is what its owner logs in with."""
        return bool(email_address.email != email_address.user.email)

    def get_reset_password_from_key_url(self, key: str) -> str:
        return at_public_url(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return at_public_url(super().get_email_confirmation_url(request, emailconfirmation))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is down breaks nothing, and who waits for the mail is told. Where there is none,
        the page for a new password says so by itself."""
        mail = template_prefix.rpartition("/")[2]
        if mail in RESETS and log_redaction.mails_are_printed():
            raise ImmediateHttpResponse(redirect(self.request.path))
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:  # smtplib's own are OSErrors too
            log.warning("a mail couldn't be sent", mail=template_prefix, error=str(error))
            if mail in ASKED_FOR:
                self._say_that_no_mail_left()

    def _say_that_no_mail_left(self) -> NoReturn:
        text = _(
            "The mail server isn't accepting our emails right now, so none was sent. Try again in "
            "a few minutes, or ask the person who runs this site for a sign-in link."
        )
        messages.error(self.request, text)
        raise ImmediateHttpResponse(redirect(self.request.path))


def at_public_url(address: str) -> str:
    """The same page at PUBLIC_URL, whatever host the request named: links in mails go where we say."""
    return f"{settings.PUBLIC_URL}{urlsplit(address).path}"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def build_totp_svg(self, url: str) -> str:
        """On white, in the dark too: scanners want dark on light."""
        file = BytesIO()
        qrcode.make(url, image_factory=SvgPathFillImage).save(file)
        return file.getvalue().decode()

    def generate_authenticator_name(self, user: User, kind: Authenticator.Type) -> str:
        """What a new passkey is called until its owner calls it something else."""
        number = Authenticator.objects.filter(user=user, type=kind).count() + 1
        return _("Passkey %(number)d") % {"number": number}

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Where it can't be read, something that no code fits: its owner comes in by a log-in link."""
        try:
            return unseal(encrypted_text)
        except DecryptionError:
            log.exception("a second factor can't be read: has SECRET_KEY changed?")
            return b32encode(token_bytes(20)).decode()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Pixian Web"}
