"""Invite someone to a team, email the link, and let one person in with it.

Only a hash of the token is stored. The inviter sees the link once, the email contains it, and no log does.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import mail, rate_limits
from accounts.models import Invitation, Membership, Role, Team, User, normalize_address
from accounts.rate_limits import Bound
from accounts.teams.joining import join
from accounts.teams.locks import lock

LIFETIME = timedelta(days=7)
KEPT_AFTER = timedelta(days=30)
"""After its end an invitation still shows whom to invite again; then the address is deleted."""

TOKEN_BYTES = 32
PER_MINUTE = 20
"""For one user: invitations are emails to strangers."""


class GoneError(Exception):
    """The invitation was used, revoked or replaced, or has expired, or its team was deleted."""


@dataclass(frozen=True)
class Sent:
    """An invitation with its link, which can't be restored. ``mailed``: the mail server accepted an email."""

    invitation: Invitation
    link: str = field(repr=False)
    mailed: bool


def roles(inviter: int) -> list[Role]:
    """Return the roles that a member with this role may invite others as."""
    if inviter < Role.MANAGER:
        return []
    return [role for role in Role if role <= inviter]


def invite(team: Team, email: str, role: Role, by: User) -> Sent:
    """Invite an address, in the active language, replacing its older invitation.

    Sends an email, so don't call it in a transaction. Raises rate_limits.TooFastError.
    """
    rate_limits.take(Bound(f"invitations:{by.pk}", PER_MINUTE))
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    invitation, _is_new = Invitation.objects.update_or_create(
        team=team,
        email=normalize_address(email),
        defaults={
            "role": role,
            "token_sha256": _hashed(token),
            "invited_by": by,
            "created_at": now,
            "expires_at": now + LIFETIME,
        },
    )
    link = f"{settings.PUBLIC_URL}{reverse('join', args=[token])}"
    return Sent(invitation, link, _mail(invitation, link))


def find(token: str) -> Invitation | None:
    """Return the valid invitation with this token, with its team and inviter; None if there is none."""
    waiting = Invitation.objects.filter(expires_at__gt=timezone.now(), invited_by__is_active=True)
    return waiting.select_related("team", "invited_by").filter(token_sha256=_hashed(token)).first()


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Membership:
    """Use up the invitation and add the user; a member keeps their role. Raises GoneError."""
    _use_up(invitation)
    membership, _is_new = join(invitation.team, user, Role(invitation.role))
    return membership


@transaction.atomic
def accept_as_new(invitation: Invitation, name: str, password: str) -> User:
    """Create a user with the invited address and add them to the team.

    Raises GoneError, and IntegrityError if another account has taken the address meanwhile.
    """
    _use_up(invitation)
    user = User.objects.create_user(invitation.email, password, confirmed=False, first_name=name)
    Membership.objects.create(team=invitation.team, user=user, role=invitation.role)
    return user


def revoke(invitation: Invitation) -> None:
    """Delete the invitation, so that its link no longer works."""
    Invitation.objects.filter(pk=invitation.pk).delete()


def withdraw(team: Team, sender: User, role: int = 0) -> int:
    """Revoke invitations that their sender may no longer send with ``role``; 0 means they left the team."""
    theirs = team.invitations.filter(invited_by=sender)
    return theirs.exclude(role__in=roles(role)).delete()[0]


def purge() -> int:
    """Delete the invitations that expired long ago, and return how many those were."""
    return Invitation.objects.filter(expires_at__lt=timezone.now() - KEPT_AFTER).delete()[0]


def _use_up(invitation: Invitation) -> None:
    if not lock(invitation.team_id):
        raise GoneError(str(invitation))
    # One conditional DELETE: of two requests at once, only one deletes the row.
    waiting = Invitation.objects.filter(expires_at__gt=timezone.now(), token_sha256=invitation.token_sha256)
    if not waiting.delete()[0]:
        raise GoneError(str(invitation))


def _mail(invitation: Invitation, link: str) -> bool:
    """Email the link; return False if it wasn't sent, so that the inviter passes it on by hand."""
    team = " ".join(invitation.team.name.split())
    body = render_to_string("accounts/invitation.txt", {"invitation": invitation, "link": link})
    return mail.send(_("Join the team %(team)s") % {"team": team}, body, [invitation.email])


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
