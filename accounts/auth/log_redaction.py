"""Keep tokens that let someone in out of the log.

Django's warnings contain the address of a request that was refused or not found, and emails that are printed
(the default) would contain their links.
"""

import logging
import re

from django.conf import settings

TOKEN = re.compile(r"(/(?:join|in/[^/\s]+|password/reset/key|confirm-email)/)[^/\s]+")


def emails_are_printed() -> bool:
    """Return True if emails go to the log instead of to people."""
    mailers = getattr(settings, "MAILERS", None)  # since Django 6.1
    backend = mailers["default"]["BACKEND"] if mailers else settings.EMAIL_BACKEND
    return str(backend).endswith("console.EmailBackend")


def hide(text: str) -> str:
    """Replace each token in the text with an ellipsis."""
    return TOKEN.sub(r"\1…", text)


class TokensHidden(logging.Filter):
    """Replace tokens in the arguments of every record; drop none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(hide(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True
