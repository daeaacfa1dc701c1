"""Where mails go: what ``EMAIL_URL`` says, in the words of Django's settings, before 6.1 and since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

BACKENDS = "django.core.mail.backends"
SMTP, FILES = f"{BACKENDS}.smtp.EmailBackend", f"{BACKENDS}.filebased.EmailBackend"
TIMEOUT_SECONDS = 10
"""Somebody waits in front of a page meanwhile."""

OPTIONS = {
    "EMAIL_FILE_PATH": "file_path",
    "EMAIL_HOST": "host",
    "EMAIL_PORT": "port",
    "EMAIL_HOST_USER": "username",
    "EMAIL_HOST_PASSWORD": "password",
    "EMAIL_USE_TLS": "use_tls",
    "EMAIL_USE_SSL": "use_ssl",
    "EMAIL_TIMEOUT": "timeout",
}
"""The settings before Django 6.1, and what its MAILERS call them."""


def leaves(url: Mapping[str, Any]) -> bool:
    """Whether mails go to people. url: as django-environ reads it."""
    return bool(url["EMAIL_BACKEND"] == SMTP)


def django_settings(url: Mapping[str, Any], version: tuple[Any, ...]) -> dict[str, Any]:
    """Django's settings for mails, by name."""
    backend = url["EMAIL_BACKEND"]
    said: dict[str, Any] = {}
    if backend == SMTP:
        said = _smtp(url)
    elif backend == FILES:
        # django-environ takes the first slash for the host's end.
        said = {"EMAIL_FILE_PATH": str(Path("/", url["EMAIL_FILE_PATH"]))}
    if version < (6, 1):
        return {"EMAIL_BACKEND": backend, **said}
    options = {OPTIONS[name]: value for name, value in said.items()}
    return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}


def _smtp(url: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: url[name] for name in OPTIONS if url.get(name) and name != "EMAIL_FILE_PATH"}
    usual_port = 465 if said.get("EMAIL_USE_SSL") else 587 if said.get("EMAIL_USE_TLS") else 25
    return {"EMAIL_PORT": usual_port, "EMAIL_TIMEOUT": TIMEOUT_SECONDS, **said}
