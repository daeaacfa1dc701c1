"""Delete a person's account: all that names them goes, and their number stays in the books."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

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
    Invitation.objects.filter(email=user.email).delete()
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
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=kind, object_id=str(user.pk)).update(object_repr=str(user.pk))
    audit_log.record(Action.DELETE_PERSON, f"user:{user.pk}", actor=by, team=None)
