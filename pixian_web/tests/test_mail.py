"""``EMAIL_URL`` in the words of Django's settings, old ones and new ones."""

import os
from typing import Any

import environ
import pytest

from pixian_web import mail

OLD, NEW = (5, 2, 19, "final", 0), (6, 1, 3, "final", 0)
SMTP = {"EMAIL_HOST": "mail.example.org", "EMAIL_TIMEOUT": 10}
WHO = {"EMAIL_HOST_USER": "me@example.org", "EMAIL_HOST_PASSWORD": "p@ss/word"}


def read(url: str) -> dict[str, Any]:
    config: dict[str, Any] = environ.Env.email_url_config(url)
    return config


@pytest.mark.parametrize(
    ("url", "backend", "said"),
    [
        ("consolemail://", "console", {}),
        ("dummymail://", "dummy", {}),
        ("filemail:///var/mails", "filebased", {"EMAIL_FILE_PATH": "/var/mails"}),
        ("filemail:////var/mails", "filebased", {"EMAIL_FILE_PATH": "/var/mails"}),
        ("smtp://mail.example.org", "smtp", SMTP | {"EMAIL_PORT": 25}),
        ("smtp://mail.example.org:2525", "smtp", SMTP | {"EMAIL_PORT": 2525}),
        (
            "smtp+tls://me%40example.org:p%40ss%2Fword@mail.example.org",
            "smtp",
            SMTP | WHO | {"EMAIL_PORT": 587, "EMAIL_USE_TLS": True},
        ),
        (
            "smtp+ssl://me%40example.org:p%40ss%2Fword@mail.example.org",
            "smtp",
            SMTP | WHO | {"EMAIL_PORT": 465, "EMAIL_USE_SSL": True},
        ),
    ],
)
def test_an_address_for_mails(url: str, backend: str, said: dict[str, Any]) -> None:
    name = f"django.core.mail.backends.{backend}.EmailBackend"
    assert mail.django_settings(read(url), OLD) == {"EMAIL_BACKEND": name, **said}
    new = mail.django_settings(read(url), NEW)["MAILERS"]["default"]
    assert new == {"BACKEND": name, "OPTIONS": {mail.OPTIONS[key]: value for key, value in said.items()}}
    assert mail.reaches_people(read(url)) is (backend == "smtp")


def test_the_settings_of_these_tests_send_nothing(settings: Any) -> None:
    assert "EMAIL_URL" not in os.environ
    assert not settings.MAIL_LEAVES
