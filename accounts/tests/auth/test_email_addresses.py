"""The address that somebody logs in with, and changing it."""

from threading import Barrier

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.auth.forms import NewAddressForm
from accounts.models import User
from accounts.tests.at_once import at_once
from accounts.tests.auth.factors import with_app
from accounts.tests.auth.mailbox import the_link, the_mail
from conftest import World

pytestmark = pytest.mark.both_databases

NEW = "alice@example.net"
PASSWORD = "correct horse"


@pytest.fixture
def alice(world: World) -> Client:
    return browser_of(world.alice)


def browser_of(user: User) -> Client:
    """Return a browser in which the user has just typed their password."""
    client = Client()
    client.force_login(user)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def send(client: Client, action: str, email: str = NEW) -> str:
    answers = {"email": email, f"action_{action}": ""}
    response = client.post(reverse("account_email"), answers, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def address_of(user: User) -> str:
    return User.objects.get(pk=user.pk).email


def log_in(email: str) -> bool:
    client = Client()
    client.post(reverse("account_login"), {"login": email, "password": PASSWORD})
    return "_auth_user_id" in client.session


def test_a_confirmed_address_takes_the_old_ones_place(world: World, alice: Client) -> None:
    assert f"<b>{NEW}</b> replaces it" in send(alice, "add", "Alice@example.NET")
    assert the_mail().to == [NEW]
    link = the_link()
    assert f"Is <b>{NEW}</b> yours" in alice.get(link).content.decode()
    assert address_of(world.alice) == "alice@example.org"
    alice.post(link)
    assert address_of(world.alice) == NEW
    assert log_in(NEW)
    assert not log_in("alice@example.org")


@pytest.mark.parametrize("emails", [[NEW] * 4, [NEW, "a@example.net", "b@example.net", "c@example.net"]])
def test_of_several_asked_for_at_once_one_waits_to_be_confirmed(
    committed_world: World, monkeypatch: pytest.MonkeyPatch, emails: list[str]
) -> None:
    alice = committed_world.alice
    browsers = [browser_of(alice) for _ in emails]
    checked, clean = Barrier(len(emails), timeout=30), NewAddressForm.clean_email

    def clean_when_all_have_asked(form: NewAddressForm) -> str:
        email = clean(form)
        checked.wait()
        return email

    monkeypatch.setattr(NewAddressForm, "clean_email", clean_when_all_have_asked)

    def ask(number: int) -> str:
        answers = {"email": emails[number], "action_add": ""}
        return str(browsers[number].post(reverse("account_email"), answers).status_code)

    assert at_once(len(emails), ask) == ["302"] * len(emails)
    (pending,) = EmailAddress.objects.filter(user=alice, verified=False)
    assert pending.email in emails


def test_a_link_still_works_when_the_address_is_asked_for_again(world: World, alice: Client) -> None:
    send(alice, "add")
    link = the_link()
    send(alice, "add")
    alice.post(link)
    assert address_of(world.alice) == NEW


def test_until_then_the_old_one_logs_in(world: World, alice: Client) -> None:
    send(alice, "add", "mistyped@example.org")
    send(alice, "add")
    assert log_in("alice@example.org")
    assert address_of(world.alice) == "alice@example.org"


def test_a_pending_change_of_address_can_be_withdrawn(world: World, alice: Client) -> None:
    send(alice, "add")
    assert "replaces it" not in send(alice, "remove")
    link = the_link()
    assert "already been used or has expired" in alice.get(link).content.decode()
    assert address_of(world.alice) == "alice@example.org"


@pytest.mark.parametrize("action", ["remove", "primary", "send"])
def test_the_address_in_use_is_not_taken_away(world: World, alice: Client, action: str) -> None:
    send(alice, "add")
    send(alice, action, "alice@example.org")
    assert address_of(world.alice) == "alice@example.org"
    assert log_in("alice@example.org")


@pytest.mark.parametrize("email", ["bob@example.org", "BOB@example.org", "alice@example.org", "nothing", ""])
def test_an_address_that_cannot_be(world: World, alice: Client, email: str) -> None:
    assert 'role="alert"' in send(alice, "add", email)
    assert mail.outbox == []


def test_it_asks_who_is_there(world: World, client: Client) -> None:
    client.force_login(world.alice)
    page = send(client, "add")
    assert "Confirm it" in page
    assert mail.outbox == []


def test_a_second_factor_is_no_obstacle(world: World, alice: Client) -> None:
    with_app(world.alice)
    send(alice, "add")
    alice.post(the_link())
    assert address_of(world.alice) == NEW


def test_a_mail_server_that_is_down_is_said(world: World, alice: Client, mail_server_down: None) -> None:
    page = send(alice, "add")
    assert "none was sent" in page
    assert "Resend the email" in page


def test_the_mail_can_be_sent_again(world: World, alice: Client) -> None:
    send(alice, "add")
    assert f"We sent an email to {NEW}" in send(alice, "send")
    assert [sent.to for sent in mail.outbox] == [[NEW], [NEW]]


def test_where_mails_are_printed_the_log_has_the_link(
    world: World, alice: Client, settings: Settings, mail_is_printed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lets nobody in, and without it the address could never be changed."""
    settings.MAIL_LEAVES = False
    send(alice, "add")
    assert f"To: {NEW}" in capsys.readouterr().out


def test_where_no_mail_leaves_the_page_says_so(world: World, alice: Client, settings: Settings) -> None:
    settings.MAIL_LEAVES = False
    page = alice.get(reverse("account_email")).content.decode()
    assert "manage.py login_link alice@example.org" in page
