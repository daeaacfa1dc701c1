"""Create and check one-time sign-in links, for the first owner and for users without a password."""

from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.urls import reverse
from django.utils import timezone
from django.utils.http import base36_to_int, int_to_base36

from accounts.models import User

STAFF_SECONDS = 60 * 60
"""Staff may do everything on the site, so their links are valid for a shorter time."""


class _LoginTokens(PasswordResetTokenGenerator):
    """Tokens that a login uses up: they are derived from the time of the last login."""

    key_salt = "accounts.auth.login_links"

    def check_token(self, user: Any, token: Any) -> bool:
        return super().check_token(user, token) and (not user.is_staff or self._age(token) <= STAFF_SECONDS)

    def _age(self, token: str) -> int:
        created = base36_to_int(token.partition("-")[0])
        return self._num_seconds(self._now()) - created


_tokens = _LoginTokens()


def login_link(user: User) -> str:
    """Return a URL that signs this user in once, within ``PASSWORD_RESET_TIMEOUT``; an hour for staff."""
    path = reverse("login_link", args=[int_to_base36(user.pk), _tokens.make_token(user)])
    return f"{settings.PUBLIC_URL}{path}"


def user_of_link(number: str, token: str) -> User | None:
    """Return the user whom a link is for, or None if it was used, has expired or is forged."""
    try:
        user = User.objects.filter(pk=base36_to_int(number), is_active=True).first()
    except (ValueError, OverflowError):
        return None
    return user if user and _tokens.check_token(user, token) else None


def use_up(user: User) -> bool:
    """Use up the link of a user whom ``user_of_link`` returned; False if any login was faster."""
    # One conditional UPDATE: of two requests at once, only one changes the row.
    unused = User.objects.filter(pk=user.pk, last_login=user.last_login)
    return unused.update(last_login=timezone.now()) == 1
