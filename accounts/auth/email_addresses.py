"""Whose an e-mail address is: known once it was confirmed, by following a mailed link or by staff.

allauth's ``EmailAddress`` says so, with a row for each address that an account has or has asked for. An
invitation confirms nothing, since whoever sent it has seen its link too.
"""

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User


def is_confirmed(user: User) -> bool:
    """Return if the address that the user logs in with was confirmed to be theirs."""
    return bool(EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists())


@transaction.atomic
def vouch_for(user: User) -> None:
    """Confirm the user's address on behalf of staff, and drop what they have asked for in its place.

    Raises IntegrityError if it is another account's confirmed address.
    """
    rows = EmailAddress.objects.filter(user=user)
    rows.exclude(email=user.email).delete()
    rows.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
