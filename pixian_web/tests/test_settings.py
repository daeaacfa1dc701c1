"""A setting that can't be used stops the start, in one line that names it and says what is allowed."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]
OTHER_UPSTREAM = {"PIXIAN_API_ID": "px", "PIXIAN_API_SECRET": "hush"}

WRONG = [
    ("PORT", "http", "a whole number from 1 to 65535"),
    ("PORT", "0", "a whole number from 1 to 65535"),
    ("API_CALLS_PER_KEY", "100000000", "a whole number from 0 to 1000000"),
    ("BIND_ADDRESS", "localhost", "an IP address such as 0.0.0.0 or ::"),
    ("DEBUG", "ture", "true or false"),
    ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    ("PUBLIC_URL", "cutouts.example.org", "it must be like https://cutouts.example.org"),
    ("HTTPS_REDIRECT", "maybe", "true or false"),
    ("HSTS_SECONDS", "30d", "a whole number from 0"),
    ("TRUSTED_PROXIES", "-1", "a whole number from 0"),
    ("PIXIAN_API_URL", "api.pixian.ai", "must begin with https://, http:// and name a host"),
    ("PIXIAN_API_URL", "https://", "must begin with https://, http:// and name a host"),
    ("PIXIAN_API_URL", "https://host:x", "must begin with https://, http:// and name a host"),
    ("PIXIAN_TIMEOUT", "3m", "a whole number from 1"),
    ("CALLS_IN_FLIGHT", "0", "a whole number from 1"),
    ("CALLS_AT_START", "0", "a whole number from 1 to 100"),
    ("CALLS_AT_START", "101", "a whole number from 1 to 100"),
    ("WORKER_THREADS", "two", "a whole number from 1"),
    ("CELERY_BROKER_URL", "localhost:6379", "must begin with redis://"),
    ("LEASE_SECONDS", "1.5", "a whole number from 1"),
    ("WEB_PROCESSES", "", "a whole number from 1"),
    ("WEB_THREADS", "0", "a whole number from 1"),
    ("WEB_PATIENCE_SECONDS", "0", "a whole number from 1"),
    ("WEB_LEAST_RATE", "10k", "a whole number from 0"),
    ("GATEWAY_WAIT_SECONDS", "½", "a whole number from 0"),
    ("API_CALLS_PER_KEY", "many", "a whole number from 0"),
    ("API_CALLS_PER_TEAM", "1e3", "a whole number from 0"),
    ("API_GUESSES_PER_ADDRESS", "-5", "a whole number from 0"),
    ("DATABASE_URL", "mysql://user:hush@host/name", "must be like postgres://user:password@host/name"),
    (
        "DATABASE_URL",
        "postgres://user:hush@host:port/name",
        "must be like postgres://user:password@host/name",
    ),
    ("DATABASE_URL", "pixian", "must be like postgres://user:password@host/name"),
    ("DATABASE_POOL", "1", "it must be 2 or more, or 0 for no pool"),
    ("OIDC_ISSUER", "login.example.org", "must begin with https://, http:// and name a host"),
    ("OIDC_ISSUER", "http://login.example.org", "must begin with https://"),
    ("OIDC_ISSUER", "https://login.example.org", "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are needed too"),
    ("OIDC_TEAM", "/t/shop/", "a team's name in its address"),
    ("OIDC_ROLE", "owner", "viewer or member or manager"),
    ("OIDC_GROUPS", "staff=shop", "must be like staff=shop:member, leads=shop:manager"),
    ("OIDC_TRUST_EMAIL", "always", "true or false"),
    ("S3_BUCKET", "Pictures", "a bucket's name"),
    ("S3_PREFIX", "/pictures/", "a folder such as pictures/shop"),
    ("S3_PREFIX", "../pictures", "a folder such as pictures/shop"),
    ("S3_ENDPOINT_URL", "minio:9000", "must begin with https://, http:// and name a host"),
    ("S3_REGION", "", "a region such as eu-west-3"),
    ("S3_ACCESS_KEY", "key-without-secret", "S3_ACCESS_KEY and S3_SECRET_KEY are needed together"),
    ("S3_SECRET_KEY", "hush", "S3_ACCESS_KEY and S3_SECRET_KEY are needed together"),
    ("S3_CHECKSUMS", "never", "when_supported or when_required"),
    ("S3_LINK_SECONDS", "1h", "a whole number from 0 to 604800"),
    ("VERIFY_EVERY_DAYS", "monthly", "a whole number from 0"),
    ("LOG_FORMAT", "xml", "text or json"),
    ("METRICS_TOKEN", "hush", "must have 16 characters or more"),
    ("SIGNUP_OPEN", "open", "true or false"),
    ("EMAIL_URL", "smt://user:hush@host", "must be like smtp+tls://user:password@host:587"),
    ("EMAIL_URL", "", "must be like smtp+tls://user:password@host:587"),
    ("TIME_ZONE", "Europe/Atlantis", "a time zone such as Europe/Paris"),
    ("TIME_ZONE", "/etc/passwd", "a time zone such as Europe/Paris"),
    ("FETCH_NETWORKS", "10.0.0.0/99", "must be a list of networks such as 10.1.0.0/16"),
    ("FETCH_PORTS", "80,http", "numbers from 1 to 65535"),
    ("ENGINE_QUEUE", "0", "a whole number from 1"),
    ("ENGINE_TIMEOUT", "nan", "a number above 0"),
    ("ENGINE_CREDITS_PER_MEGAPIXEL", "one", "it must be 0 or more, with at most six decimals"),
]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Read the settings anew, with these variables."""

    def read(**variables: str) -> dict[str, Any]:
        for name, text in (OTHER_UPSTREAM | {"DATA_DIR": str(tmp_path)} | variables).items():
            monkeypatch.setenv(name, text)
        # Configured again, structlog would no longer capture the logs of modules that have logged before.
        monkeypatch.setattr(structlog, "configure", lambda **_: None)
        return runpy.run_path(str(ROOT / "pixian_web/settings.py"))

    return read


@pytest.mark.parametrize(("name", "text", "allowed"), WRONG)
def test_a_wrong_setting_is_refused(
    read: Callable[..., dict[str, Any]], name: str, text: str, allowed: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(**{name: text})
    (line,) = str(caught.value).splitlines()
    assert name in line
    assert allowed in line
    assert "hush" not in line


def test_the_ramp_starts_at_five_or_at_a_lower_ceiling(read: Callable[..., dict[str, Any]]) -> None:
    assert read()["CALLS_AT_START"] == 5
    assert read(CALLS_IN_FLIGHT="3")["CALLS_AT_START"] == 3
    assert read(CALLS_IN_FLIGHT="200", CALLS_AT_START="200")["CALLS_AT_START"] == 200


def test_it_stops_the_start_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "prepare"]
    env = os.environ | {"DATA_DIR": str(tmp_path), "HOLD_CREDITS_PER_MEGAPIXEL": "0,5"}
    started = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    message = "HOLD_CREDITS_PER_MEGAPIXEL is '0,5'; it must be a number such as 1 or 0.25\n"
    assert (started.returncode, started.stdout, started.stderr) == (1, "", message)


def test_every_setting_that_can_be_wrong_is_tried() -> None:
    """Any text is an Id, a secret, a folder, a model or a sender."""
    texts = {
        *("DATA_DIR", "MODELS_DIR", "SECRET_KEY", "PIXIAN_API_ID", "PIXIAN_API_SECRET", "EMAIL_FROM"),
        *("ENGINE_MODEL", "ENGINE_API_ID", "ENGINE_API_SECRET", "LOG_FILE"),
        *("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME", "OIDC_SCOPES", "OIDC_GROUPS_CLAIM"),
    }
    amounts = {
        "HOLD_CREDITS_PER_MEGAPIXEL",
        "CHARGE_ALARM_FACTOR",
        "FIRST_TEAM_CREDITS",
        "SECOND_REVIEW_CREDITS",
    }  # test_money_settings.py
    readme = (ROOT / "README.md").read_text()
    documented = {
        line.split("`")[1] for line in readme.splitlines() if line.startswith("| `") and "` |" in line
    }
    settings = {name for name in documented if name.isupper()}
    assert settings - texts - amounts == {name for name, _text, _allowed in WRONG}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PORT": "8000"}, {"PORT": "8001"}),
        ({"PUBLIC_URL": "https://a.example"}, {"PUBLIC_URL": "https://a.example:8443"}),
        ({"PUBLIC_URL": "http://a.example:8000"}, {"PUBLIC_URL": "http://a.example:8001"}),
    ],
)
def test_instances_on_one_host_do_not_sign_each_others_users_out(
    read: Callable[..., dict[str, Any]], one: dict[str, str], other: dict[str, str]
) -> None:
    assert len({read(**one)["SESSION_COOKIE_NAME"], read(**other)["SESSION_COOKIE_NAME"]}) == 2
    assert len({read(**one)["CSRF_COOKIE_NAME"], read(**other)["CSRF_COOKIE_NAME"]}) == 2


def test_web_processes_behind_one_proxy_share_its_cookies(read: Callable[..., dict[str, Any]]) -> None:
    first, second = (read(PUBLIC_URL="https://a.example", PORT=port) for port in ("8000", "8001"))
    for name in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME"):
        assert first[name] == second[name]


@pytest.mark.parametrize(("address", "bound"), [("0.0.0.0", "0.0.0.0"), ("::", "[::]"), (" ::1 ", "[::1]")])
def test_the_address_to_listen_on_is_read(
    read: Callable[..., dict[str, Any]], address: str, bound: str
) -> None:
    assert read(BIND_ADDRESS=address)["BIND_ADDRESS"] == bound


def test_right_settings_are_read(read: Callable[..., dict[str, Any]]) -> None:
    settings = read(
        PIXIAN_API_URL="https://api.pixian.ai",
        CELERY_BROKER_URL="redis://:hush@host:6379/0",
        DATABASE_URL="postgresql://user:p%40ss@host:5432/name",
        EMAIL_URL="smtp+tls://user:hush@host:587",
        TIME_ZONE="Europe/Paris",
        LOG_LEVEL="debug",
        DEBUG="True",
        SIGNUP_OPEN="",
        FETCH_PORTS="80, 9000",
        HOLD_CREDITS_PER_MEGAPIXEL="0.25",
        WEB_THREADS=" 40 ",
    )
    assert settings["DATABASES"]["default"]["PASSWORD"] == "p@ss"
    assert (settings["DEBUG"], settings["SIGNUP_OPEN"], settings["LOG_LEVEL"]) == (True, False, "DEBUG")
    assert settings["FETCH_PORTS"] == {80, 9000}
    assert (settings["HOLD_MICROCREDITS_PER_MEGAPIXEL"], settings["WEB_THREADS"]) == (250_000, 40)
