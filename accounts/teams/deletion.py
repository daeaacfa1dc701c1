"""Delete a person's account: all that names them goes, and their number stays in the books."""

import json
import re
from collections.abc import Collection

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import Invitation, Team, User
from accounts.models.people import deleted_address
from accounts.teams import membership


def owned_alone(user: User) -> list[Team]:
    """Return the teams that have no other owner, and so keep the account from being deleted."""
    memberships = user.memberships.select_related("team").order_by("team__name")
    return [member.team for member in memberships if membership.is_last_owner(member)]


@transaction.atomic
def delete_person(user: User, by: User) -> None:
    """Delete the account; raise LastOwnerError if it owns a team alone, and then change nothing.

    Nobody can sign in to it: it is inactive, without a password, and its sessions end with that.
    """
    # In the order of the teams, whose rows are locked one after the other.
    for member in user.memberships.select_related("team", "user").order_by("team"):
        membership.remove(member, by)
    addresses = addresses_of(user)
    Invitation.objects.filter(email__in=addresses).delete()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    user.groups.clear()
    user.user_permissions.clear()
    user.email = deleted_address(user.pk)
    user.first_name = user.last_name = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    forget_in_log(user.pk, addresses)
    audit_log.record(Action.DELETE_PERSON, f"user:{user.pk}", actor=by, team=None)


def addresses_of(user: User) -> list[str]:
    """Return the account's address, and others that are confirmed to be the person's too."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return sorted({user.email, *confirmed})


def forget_in_log(pk: int, addresses: Collection[str]) -> None:
    """Replace the person in the log of Django's admin, which names what was changed there, by their number.

    pk: of the user, who may be gone.
    """
    name = f"Person {pk}"  # in English, as the rest of the log
    own = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(pk))
    own.update(object_repr=name)
    own.filter(change_message__startswith="Confirmed the address ").update(
        change_message="Confirmed the address."  # which earlier versions named
    )
    # Others name the person too: a membership, an invitation, or a team whose members were changed. Messages
    # are JSON, which spells some letters otherwise.
    spellings = {each for address in addresses for each in (address, json.dumps(address)[1:-1])}
    mentions = Q()
    for each in spellings:
        mentions |= Q(object_repr__contains=each) | Q(change_message__contains=each)
    # Not within a longer address.
    whole = re.compile(
        rf"(?<![\w.!#$%&'*+/=?^`{{|}}~-])({'|'.join(map(re.escape, spellings))})(?![\w-]|\.\w)"
    )
    for entry in LogEntry.objects.filter(mentions):
        entry.object_repr = whole.sub(name, entry.object_repr)
        entry.change_message = whole.sub(name, entry.change_message)
        entry.save(update_fields=["object_repr", "change_message"])
