"""A forgotten password: a mail with a link, or what to do where no mail leaves."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from accounts.tests.auth.factors import with_app
from accounts.tests.auth.mailbox import the_link, the_mail
from conftest import World

pytestmark = pytest.mark.both_databases

NEW = "a rather long sentence"


@pytest.fixture(autouse=True)
def _mails_leave(settings: Settings) -> None:
    settings.MAIL_LEAVES = True


def ask(client: Client, email: str, **headers: str) -> str:
    """Return the page after asking for a new password."""
    response = client.post(reverse("account_reset_password"), {"email": email}, follow=True, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def log_in(client: Client, password: str) -> bool:
    client.post(reverse("account_login"), {"login": "alice@example.org", "password": password})
    return "_auth_user_id" in client.session


def choose(client: Client, link: str, password: str = NEW) -> str:
    """Return the page after typing a new password on the page that the link leads to."""
    form = client.get(link, follow=True)
    answers = {"password1": password, "password2": password}
    return client.post(form.request["PATH_INFO"], answers, follow=True).content.decode()


def test_a_mail_lets_choose_a_new_password(world: World, client: Client) -> None:
    assert "We sent you an email" in ask(client, "ALICE@example.org")
    assert the_mail().subject == "[Pixian Web] Choose a new password"
    assert the_mail().to == ["alice@example.org"]
    assert "You can now sign in with it" in choose(client, the_link())
    assert not log_in(client, "correct horse")
    assert log_in(client, NEW)


def test_the_link_leads_to_our_address_whatever_the_request_said(
    world: World, client: Client, settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://cutouts.example.org"
    ask(client, "alice@example.org", Host="localhost:666")
    assert "localhost" not in the_mail().body
    assert "\nhttps://cutouts.example.org/accounts/password/reset/key/" in the_mail().body


def test_the_link_works_once(world: World, client: Client) -> None:
    ask(client, "alice@example.org")
    choose(client, the_link())
    page = Client().get(the_link(), follow=True).content.decode()
    assert "This link has already been used or has expired" in page


def test_a_weak_password_is_refused_there(world: World, client: Client) -> None:
    ask(client, "alice@example.org")
    assert "too short" in choose(client, the_link(), "short")
    assert log_in(client, "correct horse")


def test_nobody_learns_who_has_an_account(world: World, client: Client) -> None:
    pages = [ask(Client(), f"{name}@example.org") for name in ("alice", "nobody")]
    one, other = (re.sub(r'value="\w{64}"', "", page) for page in pages)  # the CSRF tokens
    assert one == other
    assert "There is no account with this address" in mail.outbox[1].body


def test_it_leaves_the_second_factor_in_place(world: World, client: Client) -> None:
    """A reader of the emails still lacks the phone."""
    with_app(world.alice)
    ask(client, "alice@example.org")
    choose(client, the_link())
    assert not log_in(client, NEW)
    assert client.get(reverse("mfa_authenticate")).status_code == 200


@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org"])
def test_a_mail_server_that_is_down_is_said(
    world: World, client: Client, mail_server_down: None, email: str
) -> None:
    page = ask(client, email)
    assert "none was sent" in page
    assert "We sent you an email" not in page
    assert 'name="email"' in page


def test_where_no_mail_leaves_the_page_says_what_to_do(
    world: World, client: Client, settings: Settings
) -> None:
    settings.MAIL_LEAVES = False
    for name in ("account_reset_password", "account_reset_password_done"):
        page = client.get(reverse(name)).content.decode()
        assert "manage.py login_link EMAIL" in page, name
        assert 'name="email"' not in page
    assert reverse("account_reset_password") in client.get(reverse("account_login")).content.decode()


def test_a_changed_password_is_told_by_mail(world: World, client: Client, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    client.force_login(world.alice)
    answers = {"oldpassword": "correct horse", "password1": NEW, "password2": NEW}
    page = client.post(reverse("account_change_password"), answers, follow=True).content.decode()
    assert "Your password was changed" in page
    assert "The password of your account was changed" in the_mail().body
    assert "127.0.0.1" in the_mail().body


def test_what_was_done_stays_done_where_that_mail_fails(
    world: World, client: Client, settings: Settings, mail_server_down: None
) -> None:
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    client.force_login(world.alice)
    answers = {"oldpassword": "correct horse", "password1": NEW, "password2": NEW}
    page = client.post(reverse("account_change_password"), answers, follow=True).content.decode()
    assert "Your password was changed" in page
    assert log_in(Client(), NEW)


def test_someone_without_a_password_chooses_one(world: World, client: Client) -> None:
    client.force_login(User.objects.create_user("dora@example.org"))
    page = client.get(reverse("account_change_password"), follow=True)
    assert page.redirect_chain == [(reverse("account_set_password"), 302)]
    answers = {"password1": NEW, "password2": NEW}
    client.post(reverse("account_set_password"), answers)
    assert User.objects.get(email="dora@example.org").check_password(NEW)


@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org"])
def test_without_mails_no_link_gets_into_the_log(
    world: World,
    client: Client,
    settings: Settings,
    mail_is_printed: None,
    capsys: pytest.CaptureFixture[str],
    email: str,
) -> None:
    """Even if a client submits the form that the page then does not show."""
    settings.MAIL_LEAVES = False
    response = client.post(reverse("account_reset_password"), {"email": email}, follow=True)
    assert "sign-in link" in response.content.decode()
    assert "password" not in "".join(capsys.readouterr())
