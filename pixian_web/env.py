"""Readers of the site's settings: each says in one line what is wrong, before anything is served."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

from engine.environment import Environment
from pixian.protocol.credits import UnreadableCreditsError, parse_credits

DATABASES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")


@contextmanager
def improperly_configured() -> Iterator[None]:
    """Turn the ValueErrors inside, which name a setting, into the error that Django's commands know."""
    try:
        yield
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from error


class SiteEnvironment(Environment):
    """The environment as Django's settings read it. No message repeats a URL, which may hold a password."""

    error = ImproperlyConfigured

    def microcredits(self, name: str, default: str) -> int:
        text = self.text(name, default)
        try:
            return parse_credits(text)
        except UnreadableCreditsError:
            self.refuse(name, text, "a number such as 1 or 0.25")

    def url(self, name: str, default: str, *schemes: str) -> str:
        """Return a URL with one of the schemes, or the default's text, which needn't be one."""
        text = self.text(name, default).strip()
        if text != default and not _is_url(text, schemes):
            raise self.error(f"{name} must begin with {'://, '.join(schemes)}:// and name a host")
        return text

    def database(self, name: str, default: str) -> dict[str, Any]:
        text = self.text(name, default)
        config: dict[str, Any] = {}
        if text.partition("://")[0] in environ.Env.DB_SCHEMES and _port_is_number(text):
            config = environ.Env.db_url_config(text)
        if config.get("ENGINE") not in DATABASES:
            raise self.error(f"{name} must be like postgres://user:password@host/name or sqlite:////a/file")
        return config

    def email(self, name: str, default: str) -> dict[str, Any]:
        text = self.text(name, default)
        if urlsplit(text).scheme not in environ.Env.EMAIL_SCHEMES or not _port_is_number(text):
            raise self.error(
                f"{name} must be like smtp+tls://user:password@host:587, filemail:///a/folder or consolemail://"
            )
        config: dict[str, Any] = environ.Env.email_url_config(text)
        return config

    def log_level(self, name: str, default: str) -> str:
        text = self.text(name, default).upper()
        if text not in logging.getLevelNamesMapping():
            self.refuse(name, text, "DEBUG, INFO, WARNING, ERROR or CRITICAL")
        return text

    def time_zone(self, name: str, default: str) -> str:
        text = self.text(name, default)
        try:
            ZoneInfo(text)
        except (LookupError, ValueError, OSError):
            self.refuse(name, text, "a time zone such as Europe/Paris")
        return text


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and _port_is_number(text)


def _port_is_number(text: str) -> bool:
    try:
        _ = urlsplit(text).port
    except ValueError:
        return False
    return True
