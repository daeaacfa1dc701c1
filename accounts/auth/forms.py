"""Adapt allauth's forms: a new address, an app's first code, and malformed passkey credentials."""

import struct
from collections.abc import Callable
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import AddEmailForm, ResetPasswordForm, ResetPasswordKeyForm, SignupForm
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.webauthn import forms as webauthn
from allauth.socialaccount.models import SocialAccount
from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest

from accounts.auth.email_addresses import is_confirmed
from accounts.models import User


class NewAddressForm(AddEmailForm):  # type: ignore[misc]
    def clean_email(self) -> str:
        """Refuse an address that another account has: it couldn't be confirmed for a second one."""
        email: str = get_adapter().clean_email(self.cleaned_data["email"])
        taken = User.objects.filter(email=email).exclude(pk=self.user.pk).exists()
        if taken:
            raise get_adapter().validation_error("email_taken")
        if email == self.user.email:
            raise get_adapter().validation_error("same_as_current")
        return email

    def save(self, request: HttpRequest) -> EmailAddress:
        """Ask for the new address's confirmation, and keep the present address even if it is unconfirmed.

        allauth would delete that; the user couldn't sign in until the new one is confirmed.
        """
        address = self._only_pending()
        send_verification_email_to_address(request, address)
        return address

    @transaction.atomic
    def _only_pending(self) -> EmailAddress:
        # Of two requests at once the second one waits, and finds the row of the first.
        User.objects.select_for_update(no_key=True).get(pk=self.user.pk)
        email = self.cleaned_data["email"]
        unconfirmed = EmailAddress.objects.filter(user=self.user, verified=False)
        unconfirmed.exclude(email__in=[self.user.email, email]).delete()
        address, _is_new = EmailAddress.objects.get_or_create(user=self.user, email=email)
        return address


class SignUpForm(SignupForm):  # type: ignore[misc]
    def validate_unique_email(self, value: str) -> str:
        """Accept an address that another account has asked for but never confirmed."""
        EmailAddress.objects.filter(email=value, verified=False).exclude(user__email=value).delete()
        email: str = super().validate_unique_email(value)
        return email


class AskForPasswordForm(ResetPasswordForm):  # type: ignore[misc]
    def clean_email(self) -> str:
        """Drop accounts that have only asked for this address: the emailed link would open them."""
        email: str = super().clean_email()
        self.users: list[User] = [
            user for user in self.users if user.email == get_adapter().clean_email(email)
        ]
        return email


class NewPasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]
    def save(self) -> None:
        """Set the password; where the address isn't confirmed, drop sign-ins and second factors of before.

        They may belong to a stranger who claimed the address first: a passkey or an account at the identity
        provider signs in by itself, and an authenticator app would keep the mailbox's owner out for good.
        """
        super().save()
        if not is_confirmed(self.user):
            SocialAccount.objects.filter(user=self.user).delete()
            # Who joined by an invitation loses their second factor too until they confirm their address: the
            # mailbox that got the invitation is then all that says whose account it is. The link itself says
            # nothing, since the person who sent it may have opened it.
            Authenticator.objects.filter(user=self.user).delete()


UNREADABLE = (
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,  # nested too deeply, or a key of an unknown algorithm
    TypeError,
    ValueError,
    struct.error,
)
"""What a credential that no browser wrote raises in allauth, in fido2 and in what they parse it with."""


MAX_CREDENTIAL = 64 * 1024
"""Characters; real ones have a few thousand. The time to read one grows with the square of its length."""


class CredentialField(forms.JSONField):
    """A passkey's answer, as the page's script writes it. Anyone may send another text without signing in."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        # In this way a browser writes only control characters and half characters; databases refuse some.
        if isinstance(value, str) and (len(value) > MAX_CREDENTIAL or "\\u" in value):
            raise self._invalid()
        try:
            return super().to_python(value)
        except UNREADABLE as error:
            raise self._invalid() from error

    def _invalid(self) -> ValidationError:
        return ValidationError(self.error_messages["invalid"], code="invalid")

    def bound_data(self, data: Any, initial: Any) -> Any:  # noqa: ARG002
        """Return an empty value for the next page, whose challenge another answer is for."""
        return InvalidJSONInput()


def clean_credential(clean: Callable[[], Any]) -> Any:
    """Run a form's own cleaning, and turn its failures on a malformed credential into a validation error.

    allauth assumes that a browser wrote the credential.
    """
    try:
        return clean()
    except UNREADABLE as error:
        raise get_adapter().validation_error("incorrect_code") from error


class SetUpAppForm(ActivateTOTPForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        """Use up the code, as a login does, so that an onlooker can't sign in with it."""
        code: str = super().clean_code()
        app = TOTP(Authenticator(user=self.user, type=Authenticator.Type.TOTP))
        if not app._mark_code_used(code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AddPasskeyForm(webauthn.AddWebAuthnForm):  # type: ignore[misc]
    credential = CredentialField()

    def clean(self) -> Any:
        return clean_credential(super().clean)


class LoginByPasskeyForm(webauthn.LoginWebAuthnForm):  # type: ignore[misc]
    credential = CredentialField()

    def clean_credential(self) -> Any:
        return clean_credential(super().clean_credential)


class SecondFactorByPasskeyForm(webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc]
    credential = CredentialField()

    def clean_credential(self) -> Any:
        return clean_credential(super().clean_credential)


class ConfirmByPasskeyForm(webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    credential = CredentialField()

    def clean_credential(self) -> Any:
        return clean_credential(super().clean_credential)
