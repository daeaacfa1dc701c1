"""What mails of a test say."""

import errno
import re
from typing import Any

from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

DEAD_SERVER = "accounts.tests.auth.mailbox.DeadServer"


class DeadServer(EmailBackend):
    """A mail server that takes no connection."""

    def send_messages(self, _messages: Any) -> int:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def the_mail() -> mail.EmailMessage:
    """The one that was sent."""
    (sent,) = mail.outbox
    return sent


def the_link() -> str:
    """The path of the link in it; the site's own address is none."""
    (link,) = re.findall(r"^https?://[^/\s]+(/\S+)$", str(the_mail().body), re.MULTILINE)
    return str(link)
