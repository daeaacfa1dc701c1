"""Readers of the site's settings: each says in one line what is wrong, before anything is served."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

from engine.environment import Environment, Reading, Secrecy
from pixian.protocol.credits import UnreadableCreditsError, parse_credits

MASK = "••••••••"
ID_SHOWN = 4
IPV6 = 6
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

    def address(self, name: str, default: str) -> str:
        """Return an IP address as it stands before a port: IPv6 in brackets."""
        text = self.text(name, default).strip()
        try:
            address = ip_address(text)
        except ValueError:
            self.refuse(name, text, "an IP address such as 0.0.0.0 or ::")
        return f"[{address}]" if address.version == IPV6 else str(address)

    def url(self, name: str, default: str, *schemes: str) -> str:
        """Return a URL with one of the schemes, or the default's text, which needn't be one."""
        text = self.text(name, default, Secrecy.URL).strip()
        if text != default and not _is_url(text, schemes):
            raise self.error(f"{name} must begin with {'://, '.join(schemes)}:// and name a host")
        return text

    def database(self, name: str, default: str) -> dict[str, Any]:
        text = self.text(name, default, Secrecy.URL)
        config: dict[str, Any] = {}
        if text.partition("://")[0] in environ.Env.DB_SCHEMES and _port_is_number(text):
            config = environ.Env.db_url_config(text)
        if config.get("ENGINE") not in DATABASES:
            raise self.error(f"{name} must be like postgres://user:password@host/name or sqlite:////a/file")
        return config

    def email(self, name: str, default: str) -> dict[str, Any]:
        text = self.text(name, default, Secrecy.URL)
        if urlsplit(text).scheme not in environ.Env.EMAIL_SCHEMES or not _port_is_number(text):
            raise self.error(
                f"{name} must be like smtp+tls://user:password@host:587, filemail:///a/folder or consolemail://"
            )
        config: dict[str, Any] = environ.Env.email_url_config(text)
        return config

    def matching(self, name: str, pattern: str, allowed: str = "", *, default: str = "") -> str:
        """Return a text that matches all of a pattern; ``allowed`` says so in words."""
        text = self.text(name, default).strip()
        if not re.fullmatch(pattern, text, re.ASCII):
            self.refuse(name, text, allowed or pattern.replace("|", " or "))
        return text

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


def shown(reading: Reading) -> str:
    """Return the setting's text as a page may show it, without its secrets."""
    if not reading.text or reading.secrecy is Secrecy.OPEN:
        return reading.text
    if reading.secrecy is Secrecy.SECRET:
        return MASK
    return masked_id(reading.text) if reading.secrecy is Secrecy.ID else _without_secrets(reading.text)


def masked_id(text: str) -> str:
    """Return the beginning of an Id, enough to tell it from others."""
    return text[: min(ID_SHOWN, len(text) // 2)] + MASK


def _without_secrets(url: str) -> str:
    """Return a URL whose password and query, which may hold secrets too, are masked."""
    scheme, slashes, rest = url.partition("://")
    address, question, _query = rest.partition("?")
    host, slash, path = address.partition("/")
    user, at, host = host.rpartition("@")
    name, colon, _password = user.partition(":")
    if "@" in path:  # a password with a slash in it, say
        return f"{scheme}{slashes}{MASK}"
    return f"{scheme}{slashes}{name}{colon and ':' + MASK}{at}{host}{slash}{path}{question and '?' + MASK}"


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
