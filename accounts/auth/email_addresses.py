"""Confirm that an email address belongs to a user, by an emailed link or by staff.

allauth's ``EmailAddress`` has a row for each address that an account has or has asked for. An invitation
confirms nothing, because the person who sent it has seen its link too.
"""

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User


def is_confirmed(user: User) -> bool:
    """Return True if the address that the user signs in with is confirmed as theirs."""
    return bool(EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists())


@transaction.atomic
def vouch_for(user: User) -> None:
    """Confirm the user's address on behalf of staff, and drop any pending change of it.

    Raises IntegrityError if another account has this address confirmed.
    """
    rows = EmailAddress.objects.filter(user=user)
    rows.exclude(email=user.email).delete()
    rows.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
