"""What people and programs do with secrets, right and wrong. Each act tells which ones played a part."""

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from allauth.account.forms import LoginForm
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.api_keys import keys
from accounts.auth.login_links import login_link
from accounts.models import Role
from accounts.teams import invitations
from accounts.tests.auth.factors import code_of
from accounts.tests.auth.mailbox import the_link
from conftest import World
from jobs.calls.upstream import Upstream
from jobs.tests import upstream as wire
from jobs.tests.api.programs import REMOVE, program_with, reach
from jobs.tests.upstream import serving
from pixian.client.client import Client as UpstreamClient
from pixian.protocol.credentials import Credentials

ALICE, PASSWORD, MISTYPED = "alice@example.org", "correct horse", "correct hearse"
Secrets = dict[str, str]
"""By what they are."""

Act = Callable[[World, pytest.MonkeyPatch], Secrets]


def by_password(world: World, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Sign in with a wrong and a right password, and where the page fails midway."""
    client = Client(raise_request_exception=False)
    client.get(reverse("account_login"))
    for password in (MISTYPED, PASSWORD):
        client.post(reverse("account_login"), {"login": ALICE, "password": password})
    client.post(reverse("admin:login"), {"username": ALICE, "password": PASSWORD})
    with monkeypatch.context() as broken:
        broken.setattr(LoginForm, "login", lambda *_: 1 // 0)
        client.logout()
        client.post(reverse("account_login"), {"login": ALICE, "password": PASSWORD})
    client.post(reverse("account_login"), {"login": ALICE, "password": PASSWORD})
    return {"a password": PASSWORD, "a mistyped password": MISTYPED} | cookies(client)


def cookies(client: Client) -> Secrets:
    names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
    return {f"the cookie {name}": client.cookies[name].value for name in names}


def by_link(world: World, _monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Use one link, leave one unused, and send requests that Django warns about."""
    used, fresh = login_link(world.alice), login_link(world.bob)
    Client().get(used.removeprefix(settings.PUBLIC_URL), follow=True)
    complained_of(fresh)
    return {"a used link": token_of(used), "a fresh link": token_of(fresh)}


def by_invitation(world: World, _monkeypatch: pytest.MonkeyPatch) -> Secrets:
    link = invitations.invite(world.team, "dora@example.org", Role.MEMBER, world.alice).link
    complained_of(link)
    return {"an invitation": token_of(link)}


def by_reset(world: World, _monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Ask for a new password without choosing it: allauth keeps the link's key in the session."""
    client = Client()
    client.post(reverse("account_reset_password"), {"email": ALICE})
    link = the_link()
    assert "password1" in client.get(link, follow=True).content.decode()
    complained_of(link)
    return {"a reset link": token_of(link).partition("-")[2]}


def complained_of(link: str) -> None:
    """Send forged and almost valid requests."""
    path = urlsplit(link).path
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    for asked in (path.rstrip("/"), f"{path}x", f"{path}x/"):
        Client().get(asked, follow=True)
        Client().delete(asked)


def token_of(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def app_being_set_up(world: World, _monkeypatch: pytest.MonkeyPatch) -> Secrets:
    return {"an app's secret": half_way()[1]}


def half_way() -> tuple[Client, str]:
    client = Client()
    client.post(reverse("account_login"), {"login": ALICE, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    (secret,) = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
    return client, secret


def by_app(world: World, _monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Set up an app with recovery codes; then sign in with a wrong and a right code."""
    client, secret = half_way()
    page = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)}, follow=True).content.decode()
    codes = re.findall(r"<code>(\d{8})</code>", page)
    assert len(codes) == 10
    other = Client()
    other.post(reverse("account_login"), {"login": ALICE, "password": PASSWORD})
    for code, expected in (("000000", 200), (codes[0], 302)):
        assert other.post(reverse("mfa_authenticate"), {"code": code}).status_code == expected
    return {"an app's secret": secret} | {f"recovery code {code}": code for code in codes}


def by_key(world: World, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Call with right and wrong keys, in the remove.bg way, and with every failure of the upstream."""
    _key, made = keys.create(world.team, world.bob, "shop")
    wrong, ours = Credentials(made.api_id, "w" * 52), Credentials.generate()
    with serving() as server:
        server.settings = replace(server.settings, credentials=ours)
        reach(monkeypatch, Upstream(UpstreamClient(server.url, ours, idle_timeout=2), charges=True))
        server.script.extend([wire.answer(), wire.error(500), wire.no_answer, wire.error(401, 1004, "No.")])
        for credentials in (wrong, *[made] * 5):
            with program_with(credentials) as http:
                http.post(REMOVE, files={"image": ("photo.png", PICTURE)})
                http.get("/api/balance")
        with program_with(None) as http:
            for secret in (wrong.api_secret, made.api_secret):
                http.get("/v1.0/account", headers={"X-Api-Key": secret})
        assert server.calls >= 4
    kinds = {"the key": made, "a wrong key": wrong, "ours at the upstream": ours}
    return {f"{kind}: {what}": secret for kind, one in kinds.items() for what, secret in forms(one).items()}


PICTURE = wire.picture("blue")


def forms(credentials: Credentials) -> Secrets:
    return {"secret": credentials.api_secret, "base64": credentials.api_key}


ACTS: tuple[Act, ...] = (by_password, by_link, by_invitation, by_reset, app_being_set_up, by_app, by_key)
