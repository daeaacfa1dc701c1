"""Asking somebody into a team: invited, told by mail, found by the token, let in once.

Of a token only a hash is kept. Whoever invites is shown the link once, the mail carries it, and no log does.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import rate_limits
from accounts.auth import log_redaction
from accounts.models import Invitation, Membership, Role, Team, User, normalize_address
from accounts.rate_limits import Bound

log = structlog.get_logger(__name__)

LASTS = timedelta(days=7)
TOKEN_BYTES = 32
A_MINUTE = 20
"""Of one person: invitations are mails to strangers."""


class GoneError(Exception):
    """The invitation was used, revoked or replaced, or is too old."""


@dataclass(frozen=True)
class Sent:
    """An invitation with its link, which nobody can make again. mailed: the mail server has taken a mail."""

    invitation: Invitation
    link: str = field(repr=False)
    mailed: bool


def roles(inviter: int) -> list[Role]:
    """As what somebody with this role may invite others."""
    if inviter < Role.MANAGER:
        return []
    return [role for role in Role if role <= inviter]


def invite(team: Team, email: str, role: Role, by: User) -> Sent:
    """Ask somebody in, in the present language; an older invitation of the same address is replaced. Not
    within a transaction, since it sends a mail. Raises rates.TooFastError."""
    rate_limits.take(Bound(f"invitations:{by.pk}", A_MINUTE))
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    invitation, _is_new = Invitation.objects.update_or_create(
        team=team,
        email=normalize_address(email),
        defaults={
            "role": role,
            "token_sha256": _hashed(token),
            "invited_by": by,
            "created_at": now,
            "expires_at": now + LASTS,
        },
    )
    link = f"{settings.PUBLIC_URL}{reverse('join', args=[token])}"
    return Sent(invitation, link, _mail(invitation, link))


def find(token: str) -> Invitation | None:
    """The invitation that this token is for, with its team and who sent it; None where it's no good."""
    waiting = Invitation.objects.filter(expires_at__gt=timezone.now(), invited_by__is_active=True)
    return waiting.select_related("team", "invited_by").filter(token_sha256=_hashed(token)).first()


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Membership:
    """Use it up and let them in; whoever is in already stays what they are. Raises GoneError."""
    _use_up(invitation)
    membership, _is_new = Membership.objects.get_or_create(
        team=invitation.team, user=user, defaults={"role": invitation.role}
    )
    return membership


@transaction.atomic
def accept_as_new(invitation: Invitation, name: str, password: str) -> User:
    """Make a user with the invited address and let them in. Raises GoneError, and IntegrityError where the
    address has become somebody's meanwhile."""
    _use_up(invitation)
    user = User.objects.create_user(invitation.email, password, confirmed=False, first_name=name)
    Membership.objects.create(team=invitation.team, user=user, role=invitation.role)
    return user


def revoke(invitation: Invitation) -> None:
    """Its link leads nowhere from now on."""
    Invitation.objects.filter(pk=invitation.pk).delete()


def withdraw(team: Team, sender: User, role: int = 0) -> int:
    """Revoke what somebody has sent and may no longer, now that they are ``role`` (0: nobody in the team)."""
    theirs = team.invitations.filter(invited_by=sender)
    return theirs.exclude(role__in=roles(role)).delete()[0]


def _use_up(invitation: Invitation) -> None:
    """One conditional DELETE: of two at once one finds the row."""
    waiting = Invitation.objects.filter(expires_at__gt=timezone.now(), token_sha256=invitation.token_sha256)
    if not waiting.delete()[0]:
        raise GoneError(str(invitation))


def _mail(invitation: Invitation, link: str) -> bool:
    """Whether a mail left. A mail server that is down breaks nothing: the link can be given by hand."""
    if log_redaction.mails_are_printed():
        return False
    team = " ".join(invitation.team.name.split())
    subject = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + _("Join the team %(team)s") % {"team": team}
    body = render_to_string("accounts/invitation.txt", {"invitation": invitation, "link": link})
    try:
        send_mail(subject, body, None, [invitation.email])
    except (OSError, ValueError) as error:  # smtplib's own are OSErrors; it can't encode every address
        # A server that refuses a mail may quote it.
        log.warning("an invitation couldn't be mailed", error=log_redaction.hide(str(error)))
        return False
    return True


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
