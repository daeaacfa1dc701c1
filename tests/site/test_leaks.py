"""E19: whoever reads a dump of the database, or the log, finds nothing there that lets them in."""

import logging
import re
import zlib
from base64 import b64encode, urlsafe_b64decode
from contextlib import suppress

import pytest
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.db import connection, connections
from pytest_django import Settings

from accounts.auth.adapter import MFAAdapter
from accounts.auth.log_redaction import TokensHidden
from conftest import World
from tests.site import acts
from tests.site.acts import ACTS, Act, Secrets


@pytest.fixture(autouse=True)
def _a_quick_gateway(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SECRET_KEY = "the key that signs everything"
    settings.GATEWAY_WAIT_SECONDS = 1
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """More than LOG_LEVEL=DEBUG gives. Django's own lines begin at INFO, and no setting of ours moves that:
    below it, its templates tell of whole contexts."""
    for name in (None, "accounts", "jobs", "pixian_web"):
        caplog.set_level(logging.DEBUG, name)


def leaked(played: Secrets, *texts: str) -> list[str]:
    """Return the kinds of secrets that can be read, plain or in base64."""
    secrets = played | {"SECRET_KEY": settings.SECRET_KEY, "PIXIAN_API_SECRET": settings.PIXIAN_API_SECRET}
    return [
        what
        for what, secret in secrets.items()
        if any(form in text for text in texts for form in (secret, b64encode(secret.encode()).decode()))
    ]


def dump() -> str:
    """Return every row of every table, with what is merely packed in it unpacked."""
    with connection.cursor() as cursor:
        values: list[object] = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            values += [value for row in cursor.fetchall() for value in row]
    text = "\n".join(map(str, values))
    return "\n".join([text, *map(unpacked, re.findall(r"[\w-]{16,}", text))])


def unpacked(word: str) -> str:
    """Unpack a session's data as Django packs it: base64 without padding, perhaps compressed."""
    try:
        plain = urlsafe_b64decode(word + "=" * (-len(word) % 4))
    except ValueError:
        return ""
    with suppress(zlib.error):
        plain = zlib.decompress(plain)
    return plain.decode(errors="replace")


def log_of(caplog: pytest.LogCaptureFixture) -> str:
    """Return the log as pytest writes it and as an operator reads it, with tracebacks."""
    (console,) = [handler for handler in logging.getLogger().handlers if handler.name == "console"]
    return "\n".join([caplog.text, *map(console.format, caplog.records)])


@pytest.mark.parametrize("act", ACTS)
def test_neither_the_dump_nor_the_log_lets_anybody_in(
    committed_world: World, act: Act, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = act(committed_world, monkeypatch)
    rows, log = dump(), log_of(caplog)
    assert all(len(secret) >= 8 for secret in secrets.values())
    assert committed_world.alice.email in rows
    assert leaked(secrets, rows) == []
    assert leaked(secrets, log) == []


def test_djangos_sessions_would_be_found(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control, of the cookie and of what the session holds."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    found = acts.by_password(world, monkeypatch)
    assert leaked(found, dump()) == [f"the cookie {settings.SESSION_COOKIE_NAME}"]
    assert leaked(acts.by_reset(world, monkeypatch), dump()) == ["a reset link"]
    assert leaked(acts.app_being_set_up(world, monkeypatch), dump()) == ["an app's secret"]


def test_secrets_in_the_clear_would_be_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control, of what allauth keeps by itself."""
    for name in ("encrypt", "decrypt"):
        monkeypatch.setattr(MFAAdapter, name, getattr(DefaultMFAAdapter, name))
    assert leaked(acts.by_app(world, monkeypatch), dump()) == ["an app's secret"]


def test_logged_addresses_would_be_found(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The control, of what Django logs by itself."""
    monkeypatch.setattr(TokensHidden, "filter", lambda *_: True)
    assert leaked(acts.by_link(world, monkeypatch), log_of(caplog)) == ["a fresh link"]
    assert leaked(acts.by_invitation(world, monkeypatch), log_of(caplog)) == ["an invitation"]
