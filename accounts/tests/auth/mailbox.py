"""What mails of a test say."""

import errno
import re
from typing import Any

from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

DEAD_SERVER = "accounts.tests.auth.mailbox.DeadServer"


class DeadServer(EmailBackend):
    """A mail server that accepts no connection."""

    def send_messages(self, _messages: Any) -> int:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def the_mail() -> mail.EmailMessage:
    """Return the only email that was sent."""
    (sent,) = mail.outbox
    return sent


def the_link() -> str:
    """Return the path of the email's link, leaving out the site's own address."""
    (link,) = re.findall(r"^https?://[^/\s]+(/\S+)$", str(the_mail().body), re.MULTILINE)
    return str(link)
