"""E19: no page of another site makes somebody's browser act here, on any route there is."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import resolve, reverse
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.models import User
from conftest import World
from jobs.api import auth
from jobs.tests.api.programs import program_with
from tests.site.isolation.routes import routes

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
SECRET = "s" * 32
ELSEWHERE = "https://elsewhere.example.org"

BY_KEY = {
    "api_remove_background": ("POST", 401),
    "api_remove_background_v1": ("POST", 401),
    "api_account": ("GET", 401),
    "drop_in_remove_background": ("POST", 403),
    "drop_in_account": ("GET", 403),
    "api_jobs": ("GET", 401),
    "api_job": ("GET", 401),
    "api_result": ("GET", 401),
    "api_source": ("GET", 401),
    "api_balance": ("GET", 401),
    "api_ledger": ("GET", 401),
    "api_usage": ("GET", 401),
}
"""Routes that ask for no token, since a session opens nothing there: a key does. With their one method, and
how they say that there is no key: remove.bg says it in its own way."""

OPEN = {"openapi_json", "api_nothing", "drop_in_nothing", "rest_nothing"}
"""The same for all the world: a document to read, and their neighbours' way to say that nothing is there."""

EXEMPT = BY_KEY.keys() | OPEN

VALUES = {
    "int": "1",
    "str": "x",
    "path": "1",
    "uuid": str(UUID(int=0)),
    "uidb36": "1",
    "key": "x-y",
    "url": "nothing",
    "app_label": "accounts",
    "pk": "1",
    "side": "after",
    "size": "tile",
}
"""Something that fits, by a part's converter or, in a regular expression, by its name."""

PART = re.compile(r"<(?:(\w+):)?\w+>|\(\?P<(\w+)>[^()]*\)")
REST = re.compile(r"\(\?:[^()]*\)|[\^$\\]")


def address(pattern: str, team: str) -> str:
    """An address of the route with this pattern."""
    values = VALUES | {"slug": team}
    filled = PART.sub(lambda part: values[part[1] or part[2] or "str"], pattern)
    return "/" + REST.sub("", filled)


def addresses(team: str) -> dict[str, str]:
    return {name: address(pattern, team) for name, pattern in routes().items()}


def refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a request without a valid token so that it can be told from other refusals."""
    return HttpResponse("no token", status=403)


@pytest.fixture(autouse=True)
def _refusals_are_told_apart(settings: Settings) -> None:
    settings.CSRF_FAILURE_VIEW = f"{__name__}.refused"
    settings.API_GUESSES_PER_ADDRESS = 0  # has tests of its own, and writes a row


@pytest.fixture(autouse=True)
def _requests_stay_in_the_tests_transaction(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would close a connection that is inside one."""
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)


Words = dict[str, str]


@dataclass(frozen=True)
class Browser:
    """Somebody's, which sends its cookies along whatever page makes it ask."""

    pages: Client
    programs: httpx.Client

    @classmethod
    def of(cls, user: User | None, cookies: Words) -> "Browser":
        pages = Client(enforce_csrf_checks=True)
        if user:
            pages.force_login(user)
        pages.cookies.load(cookies)
        sent = {name: morsel.value for name, morsel in pages.cookies.items()}
        return cls(pages, program_with(None, sent))

    def ask(self, method: str, path: str, headers: Words) -> tuple[int, str]:
        """Status and text. Programs' routes read bodies by themselves, so they get real ones."""
        if path.startswith(("/api", "/v1.0")):
            answer = self.programs.request(method, path, headers=headers)
            return answer.status_code, answer.text
        response = self.pages.generic(method, path, headers=headers)
        return response.status_code, response.content.decode()


COOKIE = {settings.CSRF_COOKIE_NAME: SECRET}
TRICKS: dict[str, tuple[Words, Words]] = {
    "the cookie alone": (COOKIE, {}),
    "a made-up token": (COOKIE, {"X-CSRFToken": "m" * 32}),
    "a token without its cookie": ({}, {"X-CSRFToken": SECRET}),
    "the right token from another site": (COOKIE, {"X-CSRFToken": SECRET, "Origin": ELSEWHERE}),
}
READERS = ("anonymous", "owner", "staff")


def browser_of(world: World, reader: str, cookies: Words) -> Browser:
    if reader == "staff":
        return Browser.of(User.objects.create_superuser("root@example.org"), cookies)
    return Browser.of(world.alice if reader == "owner" else None, cookies)


def wrong(
    browser: Browser, team: str, headers: Words, methods: tuple[str, ...] = UNSAFE
) -> list[tuple[str, str, int]]:
    """The unsafe requests that weren't refused as they should have been."""
    found = []
    for (name, path), method in product(addresses(team).items(), methods):
        status, text = browser.ask(method, path, headers)
        if not right(name, method, status, text):
            found.append((name, method, status))
    return found


def right(name: str, method: str, status: int, text: str) -> bool:
    if name in BY_KEY:
        return status == without_key(name, method)
    if name in OPEN:
        return status == 405
    return (status, text) == (403, "no token")


def without_key(name: str, method: str) -> int:
    only, refusal = BY_KEY[name]
    return refusal if method == only else 405


def all_rows() -> dict[str, list[Any]]:
    models = apps.get_models()
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_every_address_leads_to_its_route() -> None:
    """Or the others would prove nothing about it."""
    for name, pattern in routes().items():
        found = resolve(address(pattern, "aurora"))
        assert found.route.replace("^", "") == pattern.replace("^", ""), name


@pytest.mark.parametrize("reader", READERS)
def test_without_a_token_nothing_is_done(world: World, reader: str) -> None:
    browser = browser_of(world, reader, {})
    before = all_rows()
    assert wrong(browser, world.team.slug, {}) == []
    assert all_rows() == before


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_stands_in_for_a_valid_token(world: World, trick: str) -> None:
    cookies, headers = TRICKS[trick]
    browser = browser_of(world, "owner", cookies)
    before = all_rows()
    assert wrong(browser, world.team.slug, headers, ("POST",)) == []
    assert all_rows() == before


def test_the_routes_that_ask_for_no_token_are_these() -> None:
    found = {
        name
        for name, path in addresses("aurora").items()
        if getattr(resolve(path).func, "csrf_exempt", False)
    }
    assert found == EXEMPT


@pytest.mark.parametrize("name", BY_KEY)
def test_an_owners_log_in_opens_no_programs_route(world: World, name: str) -> None:
    check_opens_nothing(world, name)


def check_opens_nothing(world: World, name: str) -> None:
    path = addresses(world.team.slug)[name]
    browser = browser_of(world, "owner", COOKIE)
    before = all_rows()
    for method in ("GET", *UNSAFE):
        for headers in ({}, {"X-CSRFToken": SECRET}):
            status, _text = browser.ask(method, path, headers)
            assert status == without_key(name, method), method
    assert all_rows() == before


def test_with_its_token_a_form_is_taken(world: World) -> None:
    """The refusals above are about the token and nothing else."""
    browser = browser_of(world, "owner", COOKIE)
    assert browser.ask("GET", reverse("account_email"), {})[0] == 200
    assert browser.ask("POST", reverse("account_logout"), {"X-CSRFToken": SECRET})[0] == 302
    assert browser.ask("GET", reverse("account_email"), {})[0] == 302


def test_an_exempted_view_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: somebody marks a page of people."""
    path = addresses(world.team.slug)["again"]
    monkeypatch.setattr(resolve(path).func, "csrf_exempt", True, raising=False)
    found = {name for name, _method, _status in wrong(browser_of(world, "owner", {}), world.team.slug, {})}
    assert found == {"again"}
    with pytest.raises(AssertionError):
        test_the_routes_that_ask_for_no_token_are_these()


def test_a_key_route_that_takes_a_session_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: whoever is logged in counts as the holder of a key."""
    key, _credentials = keys.create(world.team, world.alice, "shop")
    monkeypatch.setattr(auth, "authenticate", lambda _request, _scope: key)
    with pytest.raises(AssertionError):
        check_opens_nothing(world, "api_account")


def test_cookies_are_kept_from_scripts_and_from_other_sites(world: World) -> None:
    client = Client()
    client.get(reverse("account_login"))
    client.post(reverse("account_login"), {"login": world.alice.email, "password": "correct horse"})
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", ""), name


@pytest.mark.parametrize(("url", "secure"), [("http://127.0.0.1:8000", False), ("https://a.example", True)])
def test_behind_https_cookies_travel_by_it_alone(url: str, secure: bool) -> None:
    """Ask a process of its own, since settings are read once."""
    ask = "from pixian_web import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE)"
    env = os.environ | {"PUBLIC_URL": url}
    done = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(secure)] * 2
