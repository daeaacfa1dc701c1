"""allauth's forms where ours differ: a new address, an app's first code, passkeys that no browser made."""

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
from django.http import HttpRequest

from accounts.auth.email_addresses import is_confirmed
from accounts.models import User


class NewAddressForm(AddEmailForm):  # type: ignore[misc]
    def clean_email(self) -> str:
        """An address belongs to one person, from the beginning: it couldn't be confirmed for a second one."""
        email: str = get_adapter().clean_email(self.cleaned_data["email"])
        taken = User.objects.filter(email=email).exclude(pk=self.user.pk).exists()
        if taken:
            raise get_adapter().validation_error("email_taken")
        if email == self.user.email:
            raise get_adapter().validation_error("same_as_current")
        return email

    def save(self, request: HttpRequest) -> EmailAddress:
        """Unlike allauth's, it leaves an address in use alone that was never confirmed: without it, nobody
        could log in until the new one is."""
        pending = EmailAddress.objects.filter(user=self.user, verified=False).exclude(email=self.user.email)
        pending.delete()
        address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        send_verification_email_to_address(request, address)
        return address


class SignUpForm(SignupForm):  # type: ignore[misc]
    def validate_unique_email(self, value: str) -> str:
        """An address that another account has asked for, and never confirmed, is still free."""
        EmailAddress.objects.filter(email=value, verified=False).exclude(user__email=value).delete()
        email: str = super().validate_unique_email(value)
        return email


class AskForPasswordForm(ResetPasswordForm):  # type: ignore[misc]
    def clean_email(self) -> str:
        """No mail to an address that an account has only asked for: its link would lead into that account."""
        email: str = super().clean_email()
        self.users: list[User] = [
            user for user in self.users if user.email == get_adapter().clean_email(email)
        ]
        return email


class NewPasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]
    def save(self) -> None:
        """Passkeys log in by themselves. Those of an account whose address nobody has confirmed may be those
        of whoever took the address first."""
        super().save()
        if not is_confirmed(self.user):
            Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN).delete()


def refusing_nonsense(clean: Callable[[], Any]) -> Any:
    """What the form's own cleaning returns. It takes for granted that a browser wrote the credential, and
    falls over what anybody else may send."""
    try:
        return clean()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise get_adapter().validation_error("incorrect_code") from error


class SetUpAppForm(ActivateTOTPForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        """Use the code up, as a log-in does: whoever saw it being typed can't log in with it."""
        code: str = super().clean_code()
        app = TOTP(Authenticator(user=self.user, type=Authenticator.Type.TOTP))
        if not app._mark_code_used(code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AddPasskeyForm(webauthn.AddWebAuthnForm):  # type: ignore[misc]
    def clean(self) -> Any:
        return refusing_nonsense(super().clean)


class LoginByPasskeyForm(webauthn.LoginWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Any:
        return refusing_nonsense(super().clean_credential)


class SecondFactorByPasskeyForm(webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Any:
        return refusing_nonsense(super().clean_credential)


class ConfirmByPasskeyForm(webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Any:
        return refusing_nonsense(super().clean_credential)
