"""The address people use: what PUBLIC_URL may be, and what HTTPS means for browsers and proxies."""

import os
import subprocess
import sys

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from conftest import World
from pixian_web.public_url import parse

HTTPS = "https://cutouts.example.org"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://cutouts.example.org", "https://cutouts.example.org"),
        (" https://Cutouts.Example.org/ ", "https://cutouts.example.org"),
        ("https://cutouts.example.org:443", "https://cutouts.example.org"),
        ("https://cutouts.example.org:8443/", "https://cutouts.example.org:8443"),
        ("https://détourage.example.fr", "https://xn--dtourage-b1a.example.fr"),
        ("https://Straße.example", "https://xn--strae-oqa.example"),
        ("https://例え.テスト", "https://xn--r8jz45g.xn--zckzah"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000"),
    ],
)
def test_an_address_is_kept_as_browsers_send_it(text: str, origin: str) -> None:
    assert parse(text).origin == origin


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cutouts.example.org", "must be like"),
        ("ftp://cutouts.example.org", "must be like"),
        ("https://", "must be like"),
        ("https://[", "must be like"),
        ("https://user:password@example.org", "must be like"),
        ("https://example.org:99999", "must be like"),
        ("https://example.org/pixian", "below a path"),
        ("https://example.org/?a=b", "below a path"),
        ("https://under_score.example.org", "isn't made of letters"),
        ("https://-é-.example.org", "no DNS name"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def test_it_stops_the_start() -> None:
    done = manage("check", PUBLIC_URL="https://example.org/pixian")
    assert done.returncode == 1
    assert done.stderr.startswith("PUBLIC_URL is 'https://example.org/pixian'")


def test_an_international_host_is_served() -> None:
    script = (
        "import django; django.setup(); from django.conf import settings; from django.http import "
        "HttpRequest; r = HttpRequest(); r.META = {'HTTP_HOST': 'xn--dtourage-b1a.example.fr'}; "
        "print(r.get_host(), settings.PUBLIC_URL, settings.DEFAULT_FROM_EMAIL)"
    )
    env = environment(PUBLIC_URL="https://détourage.example.fr", DJANGO_SETTINGS_MODULE="pixian_web.settings")
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    host = "xn--dtourage-b1a.example.fr"
    assert done.stdout.strip() == f"{host} https://{host} Pixian Web <pixian-web@{host}>"


def test_a_deployment_with_https_passes_djangos_own_check() -> None:
    deployed = {"PUBLIC_URL": HTTPS, "SECRET_KEY": "", "EMAIL_URL": "smtp://mail.example.org"}
    done = manage("check", "--deploy", "--fail-level", "WARNING", **deployed)
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (2 silenced).\n"), (
        done.stderr
    )


def manage(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, env=environment(**settings), capture_output=True, text=True, check=False)


def environment(**settings: str) -> dict[str, str]:
    return os.environ | settings


@pytest.fixture
def https(settings: Settings) -> None:
    """Apply the settings that PUBLIC_URL=https://… makes."""
    settings.PUBLIC_URL = HTTPS
    settings.BEHIND_HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_SSL_HOST = "cutouts.example.org"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 3600


THROUGH_PROXY = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def test_plain_http_leads_to_https(client: Client, db: None, https: None) -> None:
    response = client.get("/accounts/login/?next=/")
    assert (response.status_code, response["Location"]) == (301, f"{HTTPS}/accounts/login/?next=/")
    response = client.get("/accounts/login/", headers=THROUGH_PROXY)
    assert (response.status_code, response["Strict-Transport-Security"]) == (200, "max-age=3600")


def test_probes_and_programs_are_not_sent_elsewhere(client: Client, db: None, https: None) -> None:
    """A redirect would lose a program's body."""
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code in (200, 503)
    assert client.get("/metrics").status_code == 404
    assert client.post("/api/v2/remove-background").status_code == 401
    assert client.post("/v1.0/removebg").status_code == 403


def test_a_proxy_that_hides_the_scheme_is_named(client: Client, db: None, https: None) -> None:
    """Or browsers would be redirected to the same address for ever."""
    response = client.get("/accounts/login/", headers={"X-Forwarded-For": "203.0.113.9"})
    assert response.status_code == 502
    assert "X-Forwarded-Proto" in response.content.decode()


def test_a_form_over_plain_http_says_what_is_wrong(db: None, https: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = False
    response = Client(enforce_csrf_checks=True).post(
        reverse("account_login"), {"login": "a", "password": "b"}
    )
    assert response.status_code == 403
    text = response.content.decode()
    assert f"only works over HTTPS, at {HTTPS}" in text
    assert "open for too long" not in text


def test_an_old_form_is_told_apart(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post(
        reverse("account_login"), {"login": "a", "password": "b"}
    )
    assert "open for too long" in response.content.decode()


PAGES = ("workspace", "history", "team", "keys", "quick_start")


def test_answers_stay_out_of_shared_caches(client: Client, world: World) -> None:
    client.force_login(world.alice)
    addresses = [reverse(name, args=[world.team.slug]) for name in PAGES]
    for address in (*addresses, "/", "/accounts/email/", "/nothing", "/api/openapi.json", "/api/v2/account"):
        assert "private" in client.get(address)["Cache-Control"], address
