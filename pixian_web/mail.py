"""Translate ``EMAIL_URL`` into Django's email settings, for versions before and from 6.1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

BACKENDS = "django.core.mail.backends"
SMTP, FILES = f"{BACKENDS}.smtp.EmailBackend", f"{BACKENDS}.filebased.EmailBackend"
TIMEOUT_SECONDS = 10
"""A user waits for the page meanwhile."""

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
"""The settings before Django 6.1, and their names in MAILERS since."""


def reaches_people(url: Mapping[str, Any]) -> bool:
    """Return True if emails are delivered by SMTP. ``url`` is ``EMAIL_URL`` as django-environ parses it."""
    return bool(url["EMAIL_BACKEND"] == SMTP)


def django_settings(url: Mapping[str, Any], version: tuple[Any, ...]) -> dict[str, Any]:
    """Return Django's email settings by name, for this version of Django."""
    backend = url["EMAIL_BACKEND"]
    options: dict[str, Any] = {}
    if backend == SMTP:
        options = _smtp(url)
    elif backend == FILES:
        # django-environ drops the leading slash, which it takes for the end of the host.
        options = {"EMAIL_FILE_PATH": str(Path("/", url["EMAIL_FILE_PATH"]))}
    if version < (6, 1):
        return {"EMAIL_BACKEND": backend, **options}
    renamed = {OPTIONS[name]: value for name, value in options.items()}
    return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": renamed}}}


def _smtp(url: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: url[name] for name in OPTIONS if url.get(name) and name != "EMAIL_FILE_PATH"}
    default_port = 465 if options.get("EMAIL_USE_SSL") else 587 if options.get("EMAIL_USE_TLS") else 25
    return {"EMAIL_PORT": default_port, "EMAIL_TIMEOUT": TIMEOUT_SECONDS, **options}
