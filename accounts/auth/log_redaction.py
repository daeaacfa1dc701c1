"""What stays out of the log: the tokens in addresses that let somebody in.

Django's warnings name the address of a request that was refused or not found, and mails that are printed (the
default) would tell theirs.
"""

import logging
import re

from django.conf import settings

TOKEN = re.compile(r"(/(?:join|in/[^/\s]+|password/reset/key|confirm-email)/)[^/\s]+")


def mails_are_printed() -> bool:
    """Whether a mail would get into the log, and reach nobody."""
    mailers = getattr(settings, "MAILERS", None)  # since Django 6.1
    backend = mailers["default"]["BACKEND"] if mailers else settings.EMAIL_BACKEND
    return str(backend).endswith("console.EmailBackend")


def hide(text: str) -> str:
    """The text with an ellipsis for each such token."""
    return TOKEN.sub(r"\1…", text)


class TokensHidden(logging.Filter):
    """Passes every record on, without them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(hide(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True
