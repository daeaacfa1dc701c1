"""Signing up by oneself: closed, unless the operator opens it."""

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Team, User
from conftest import World

pytestmark = pytest.mark.both_databases

ANSWERS = {"email": "dora@example.org", "password1": "a long sentence", "password2": "a long sentence"}


@pytest.fixture
def opened(settings: Settings) -> None:
    settings.SIGNUP_OPEN = True


def sign_up(client: Client, **answers: str) -> str:
    return client.post(reverse("account_signup"), ANSWERS | answers, follow=True).content.decode()


def test_it_is_closed_by_default(db: None, client: Client) -> None:
    assert "Accounts are by invitation only" in client.get(reverse("account_signup")).content.decode()
    assert reverse("account_signup") not in client.get(reverse("account_login")).content.decode()
    sign_up(client)
    assert not User.objects.exists()


def test_where_it_is_open_one_is_in_but_in_no_team(db: None, client: Client, opened: None) -> None:
    assert reverse("account_signup") in client.get(reverse("account_login")).content.decode()
    assert "You aren't in a team yet" in sign_up(client)
    assert User.objects.get().email == "dora@example.org"
    assert not Team.objects.exists()


@pytest.mark.parametrize(
    "answers",
    [
        {"email": "alice@example.org"},
        {"email": "ALICE@example.org"},
        {"email": "nothing"},
        {"password2": "another sentence"},
        {"password1": "12345", "password2": "12345"},
        {"password1": "dora@example.org", "password2": "dora@example.org"},
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    world: World, client: Client, opened: None, answers: dict[str, str]
) -> None:
    people = User.objects.count()
    page = sign_up(client, **answers)
    assert 'role="alert"' in page
    assert f'value="{answers.get("email", "dora@example.org")}"' in page
    assert User.objects.count() == people


def test_the_address_is_asked_for_by_mail_where_mails_leave(
    db: None, client: Client, opened: None, settings: Settings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    sign_up(client)
    assert "follow this link" in mail.outbox[0].body
    assert "_auth_user_id" in client.session


def test_a_mail_server_that_is_down_keeps_nobody_out(
    db: None, client: Client, opened: None, settings: Settings, mail_server_down: None
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    assert "You aren't in a team yet" in sign_up(client)
