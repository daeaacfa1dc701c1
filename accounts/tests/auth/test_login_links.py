"""One-time log-in links: good once, for a day, for whom they were made."""

from datetime import datetime, timedelta
from threading import Barrier

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.http import int_to_base36
from pytest_django import Settings

from accounts.auth import login_links
from accounts.auth.login_links import login_link, user_of_link
from accounts.models import User
from accounts.tests.at_once import at_once
from conftest import World

pytestmark = pytest.mark.both_databases


def path_of(user: User, settings: Settings) -> str:
    link = login_link(user)
    assert link.startswith(settings.PUBLIC_URL)
    return link.removeprefix(settings.PUBLIC_URL)


def who(client: Client) -> int | None:
    """Return the user that this browser is signed in as."""
    number = client.session.get("_auth_user_id")
    return int(number) if number else None


def refused(client: Client, path: str) -> bool:
    """Return True if the link leads to the sign-in page with a message that says why."""
    response = client.get(path, follow=True)
    assert response.redirect_chain == [(reverse("account_login"), 302)]
    assert "link has already been used or has expired" in response.content.decode()
    return who(client) is None


def test_a_link_logs_in(world: World, client: Client, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    response = client.get(path)
    assert (response.status_code, response.headers["Location"]) == (302, f"{path}?opened=1")
    assert "no-store" in response.headers["Cache-Control"]
    assert who(client) is None
    response = client.get(response.headers["Location"])
    assert (response.status_code, response.headers["Location"]) == (302, reverse("home"))
    assert who(client) == world.alice.pk
    assert "no-store" in response.headers["Cache-Control"]
    assert client.get(reverse("workspace", args=[world.team.slug])).status_code == 200


def test_a_link_is_used_once(world: World, client: Client, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    client.get(path, follow=True)
    assert refused(Client(), path)


@pytest.mark.parametrize("came_before", [False, True])
def test_a_link_that_several_open_at_once_lets_in_one(
    committed_world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch, came_before: bool
) -> None:
    if came_before:
        Client().force_login(committed_world.alice)
    path = path_of(User.objects.get(pk=committed_world.alice.pk), settings)
    checked = Barrier(3, timeout=30)

    def user_when_all_have_asked(number: str, token: str) -> User | None:
        user = user_of_link(number, token)
        checked.wait()
        return user

    monkeypatch.setattr(login_links, "user_of_link", user_when_all_have_asked)

    def open_it(_number: int) -> str:
        browser = Client()
        browser.cookies["opened"] = "1"
        browser.get(path)
        return "in" if who(browser) else "out"

    assert at_once(3, open_it) == ["in", "out", "out"]


def test_looking_at_a_link_does_not_use_it_up(world: World, client: Client, settings: Settings) -> None:
    """Mail and chat programs do so with GET and HEAD, without cookies; browsers prefetch pages."""
    path = path_of(world.alice, settings)
    for _ in range(2):
        assert client.head(path).status_code == 302
        assert client.head(f"{path}?opened=1").status_code == 400
        shown = Client().get(f"{path}?opened=1")
        assert shown.status_code == 400
        assert "keep this site" in shown.content.decode()
    client.get(path, follow=True, headers={"Sec-Purpose": "prefetch;prerender"})
    assert who(client) is None
    client.get(path, follow=True)
    assert who(client) == world.alice.pk


def test_only_reading_methods_are_taken(world: World, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    assert {
        Client().generic(method, path).status_code for method in ("POST", "PUT", "DELETE", "OPTIONS")
    } == {405}


def test_any_log_in_uses_it_up(world: World, client: Client, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    client.force_login(world.alice)
    assert refused(Client(), path)


def test_a_link_for_someone_without_a_password_works(
    world: World, client: Client, settings: Settings
) -> None:
    client.get(path_of(User.objects.create_user("dora@example.org"), settings), follow=True)
    assert who(client) == User.objects.get(email="dora@example.org").pk


def test_a_link_changes_who_is_logged_in(world: World, client: Client, settings: Settings) -> None:
    client.force_login(world.bob)
    client.get(path_of(world.alice, settings), follow=True)
    assert who(client) == world.alice.pk


def test_an_old_link_is_refused(world: World, client: Client, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert refused(client, path)


def test_it_lasts_a_day(settings: Settings) -> None:
    assert settings.PASSWORD_RESET_TIMEOUT == 24 * 60 * 60
    assert not hasattr(settings, "LOGIN_LINK_SECONDS")


@pytest.mark.parametrize(
    ("minutes", "staff", "good"), [(59, True, True), (61, True, False), (61, False, True)]
)
def test_staffs_lasts_an_hour(
    world: World,
    client: Client,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    staff: bool,
    good: bool,
) -> None:
    User.objects.filter(pk=world.alice.pk).update(is_staff=staff)
    path = path_of(world.alice, settings)
    later = datetime.now() + timedelta(minutes=minutes)  # noqa: DTZ005 - as Django's tokens reckon
    monkeypatch.setattr(login_links._tokens, "_now", lambda: later)
    client.get(path, follow=True)
    assert (who(client) == world.alice.pk) == good


def test_an_inactive_user_is_refused(world: World, client: Client, settings: Settings) -> None:
    path = path_of(world.alice, settings)
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    assert refused(client, path)


def test_a_token_is_for_one_person(world: World) -> None:
    token = login_link(world.alice).rstrip("/").rpartition("/")[2]
    assert user_of_link(int_to_base36(world.alice.pk), token) == world.alice
    assert user_of_link(int_to_base36(world.bob.pk), token) is None


@pytest.mark.parametrize("number", ["0", "1", "-1", "zzzzzzzzzzzzz", "z" * 40, "é", "..", "1 OR 1=1"])
@pytest.mark.parametrize("token", ["x", "-", "0-0", "a-b-c", "zzzzzzzzzzzzz-0", "é-é"])
def test_a_malformed_link_is_refused(db: None, client: Client, number: str, token: str) -> None:
    assert refused(client, f"/in/{number}/{token}/")


@pytest.mark.parametrize("path", ["/in/%00/x/", "/in/1/%00/", "/in/%00/%00/"])
def test_nul_is_no_link(db: None, client: Client, path: str) -> None:
    assert client.get(path).status_code == 400
    assert who(client) is None
