"""Send an email, if this site sends any."""

from collections.abc import Sequence

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F, Q

from accounts.auth import log_redaction
from accounts.models import User

log = structlog.get_logger(__name__)


def send(subject: str, body: str, recipients: Sequence[str]) -> bool:
    """Send an email and return True; return False if it wasn't sent. Don't call it in a transaction.

    An email that would only be printed isn't sent: it may hold a link that signs someone in.
    """
    if not recipients or log_redaction.emails_are_printed():
        return False
    try:
        send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, body, None, list(recipients))
    except (OSError, ValueError) as error:  # smtplib raises both, the latter for the encoding
        # A server that refuses an email may quote it in its reply.
        log.warning("a message couldn't be mailed", error=log_redaction.hide(str(error)))
        return False
    return True


def reached(people: Q) -> list[str]:
    """Return the addresses of people who can sign in, each confirmed as theirs: others get no mail."""
    confirmed = Q(emailaddress__verified=True, emailaddress__email=F("email"))
    users = User.objects.filter(people, confirmed, is_active=True)
    return list(users.order_by("email").values_list("email", flat=True).distinct())
