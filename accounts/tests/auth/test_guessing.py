"""Guessing passwords and second factors is slowed down, and nobody is locked out by a stranger."""

from typing import Any

import pytest
from allauth.account.adapter import DefaultAccountAdapter
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.auth.adapter import AccountAdapter
from accounts.models import User
from accounts.tests.auth.factors import SECRET, code_of, with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"
STRANGER, OWNER = "198.51.100.66", "203.0.113.7"
TRIES = 10
SECOND_TRIES = 5


def log_in(
    address: str, password: str, email: str = "alice@example.org", client: Client | None = None
) -> Any:
    answers = {"login": email, "password": password}
    return (client or Client()).post(reverse("account_login"), answers, REMOTE_ADDR=address)


def logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def says_when_to_come_back(response: Any) -> bool:
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "300"
    return "Wait 5 minutes" in response.content.decode()


@pytest.fixture
def guessed(world: World) -> World:
    """Try as many wrong passwords for alice's account as a stranger may."""
    for number in range(TRIES):
        assert log_in(STRANGER, f"guess {number}").status_code == 200
    return world


def test_after_many_wrong_passwords_the_guesser_is_sent_away(guessed: World) -> None:
    assert says_when_to_come_back(log_in(STRANGER, "one more"))


def test_even_the_right_password_is_refused_then(guessed: World) -> None:
    client = Client()
    assert log_in(STRANGER, PASSWORD, client=client).status_code == 429
    assert not logged_in(client)


def test_the_owner_is_not_locked_out(guessed: World) -> None:
    client = Client()
    assert log_in(OWNER, PASSWORD, client=client).status_code == 302
    assert logged_in(client)


def test_a_limit_by_address_would_lock_the_owner_out(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: allauth's own limit, which ours replaces."""
    monkeypatch.setattr(AccountAdapter, "pre_authenticate", DefaultAccountAdapter.pre_authenticate)
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": f"{TRIES}/5m/key"}
    for number in range(TRIES):
        log_in(STRANGER, f"guess {number}")
    assert log_in(OWNER, PASSWORD).status_code == 429


def test_trying_one_password_on_many_people_counts_too(world: World) -> None:
    for number in range(TRIES):
        log_in(STRANGER, PASSWORD, email=f"somebody{number}@example.org")
    assert log_in(STRANGER, PASSWORD, email="bob@example.org").status_code == 429


def test_right_passwords_are_not_counted(world: World) -> None:
    for _ in range(TRIES + 1):
        assert log_in(OWNER, PASSWORD).status_code == 302
    assert log_in(OWNER, "mistyped").status_code == 200


def test_logging_in_oneself_in_between_forgets_no_guess(world: World) -> None:
    for number in range(TRIES):
        log_in(STRANGER, f"guess {number}")
        if number % 3 == 0:
            log_in(STRANGER, PASSWORD, email="charlie@example.org")
    assert log_in(STRANGER, "one more").status_code == 429


def test_a_made_up_forwarded_address_helps_no_guesser(guessed: World) -> None:
    answers = {"login": "alice@example.org", "password": "one more"}
    headers = {"X-Forwarded-For": OWNER}
    response = Client().post(reverse("account_login"), answers, REMOTE_ADDR=STRANGER, headers=headers)
    assert response.status_code == 429


def test_behind_a_proxy_each_counts_for_themselves(world: World, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    answers = {"login": "alice@example.org", "password": "wrong"}
    for forwarded, statuses in ((STRANGER, [200] * TRIES + [429]), (OWNER, [200])):
        headers = {"X-Forwarded-For": f"192.0.2.200, {forwarded}"}
        seen = [Client().post(reverse("account_login"), answers, headers=headers) for _ in statuses]
        assert [response.status_code for response in seen] == statuses


def test_confirming_that_it_is_you_counts_the_same(guessed: World) -> None:
    client = Client(REMOTE_ADDR=STRANGER)
    client.force_login(guessed.alice)
    assert client.post(reverse("account_reauthenticate"), {"password": "guess"}).status_code == 429


def at_second_step(user: User, address: str = STRANGER) -> Client:
    """Return a browser that passed the password and stands before the second factor."""
    client = Client(REMOTE_ADDR=address)
    answers = {"login": user.email, "password": PASSWORD}
    assert client.post(reverse("account_login"), answers).headers["Location"] == reverse("mfa_authenticate")
    return client


def try_code(client: Client, code: str) -> Any:
    return client.post(reverse("mfa_authenticate"), {"code": code})


def test_second_factors_are_limited_from_wherever_they_are_tried(world: World) -> None:
    with_app(world.alice)
    for number in range(SECOND_TRIES):
        assert try_code(at_second_step(world.alice, f"198.51.100.{number}"), "000000").status_code == 200
    client = at_second_step(world.alice, "198.51.100.99")
    assert says_when_to_come_back(try_code(client, code_of(SECRET)))
    assert not logged_in(client)


def test_wrong_second_factors_of_one_do_not_touch_others(world: World) -> None:
    for person in (world.alice, world.bob):
        with_app(person)
    client = at_second_step(world.alice)
    for _ in range(SECOND_TRIES):
        try_code(client, "000000")
    other = at_second_step(world.bob)
    assert try_code(other, code_of(SECRET)).status_code == 302
    assert logged_in(other)


def test_a_right_second_factor_forgets_the_wrong_ones(world: World) -> None:
    with_app(world.alice)
    client = at_second_step(world.alice)
    for _ in range(SECOND_TRIES - 1):
        try_code(client, "000000")
    assert try_code(client, code_of(SECRET)).status_code == 302
    assert try_code(at_second_step(world.alice), "000000").status_code == 200


def test_a_correct_second_factor_resets_no_count_of_wrong_passwords(guessed: World) -> None:
    with_app(guessed.charlie)
    client = Client(REMOTE_ADDR=STRANGER)
    client.force_login(guessed.charlie)
    assert client.post(reverse("mfa_reauthenticate"), {"code": code_of(SECRET)}).status_code == 302
    assert log_in(STRANGER, "one more").status_code == 429


def test_passkeys_are_not_tried_without_end(world: World) -> None:
    address = reverse("mfa_login_webauthn")
    seen = [Client().post(address, {"credential": "{}"}).status_code for _ in range(11)]
    assert seen == [302] * 10 + [429]
