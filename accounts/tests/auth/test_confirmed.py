"""Only an address that was confirmed is an account's: who merely says so gets nobody's team or invitation."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.auth import email_addresses
from accounts.models import Membership, Role, Team, User
from accounts.teams import invitations
from accounts.tests.auth.factors import with_app
from accounts.tests.auth.mailbox import the_link
from conftest import World

pytestmark = pytest.mark.both_databases

VICTIM = "victim@example.org"
PASSWORD = "correct horse"


@pytest.fixture
def mallory(world: World) -> User:
    """Return a user who came in by a link that was handed over, with an unconfirmed address."""
    sent = invitations.invite(world.team, "mallory@example.org", Role.VIEWER, world.alice)
    mail.outbox.clear()
    return invitations.accept_as_new(sent.invitation, "Mallory", PASSWORD)


def browser_of(user: User) -> Client:
    """Return a browser in which the user has just typed their password."""
    client = Client()
    client.force_login(user)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def change(client: Client, action: str, email: str) -> Any:
    return client.post(reverse("account_email"), {"email": email, f"action_{action}": ""}, follow=True)


def address_of(user: User) -> str:
    return User.objects.get(pk=user.pk).email


def test_only_confirmation_makes_an_address_yours(world: World, mallory: User) -> None:
    client = browser_of(mallory)
    change(client, "add", VICTIM)
    for action in ("primary", "send", "remove"):
        change(client, action, VICTIM)
        assert address_of(mallory) == "mallory@example.org"
    change(client, "add", VICTIM)
    change(client, "remove", "mallory@example.org")
    assert address_of(mallory) == "mallory@example.org"


def test_a_team_for_an_address_is_not_its_squatters(world: World, mallory: User) -> None:
    change(browser_of(mallory), "add", VICTIM)
    call_command("setup_team", "North", "--owner", VICTIM, stdout=None)
    assert Team.objects.get(name="North").members.get() != mallory
    with pytest.raises(CommandError, match="never confirmed"):
        call_command("setup_team", "South", "--owner", "MALLORY@example.org")
    assert not Team.objects.filter(name="South").exists()


@pytest.mark.parametrize("command", ["grant"])
def test_nor_does_a_squatter_grant(world: World, mallory: User, command: str) -> None:
    with pytest.raises(CommandError, match="never confirmed"):
        call_command(command, world.team.slug, "5", "--by", mallory.email)


def test_a_link_for_an_unconfirmed_account_says_so(
    world: World, mallory: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("login_link", mallory.email)
    assert "Nobody has confirmed" in capsys.readouterr().err
    call_command("login_link", world.bob.email)
    assert capsys.readouterr().err == ""


@pytest.fixture
def invited(world: World, mallory: User) -> str:
    """Return the path of an invitation of mallory's address to another team."""
    other = Team.objects.get(name="Outsiders")
    sent = invitations.invite(other, mallory.email, Role.OWNER, world.charlie)
    return "/join/" + sent.link.rpartition("/join/")[2]


def is_in(user: User) -> bool:
    return Membership.objects.filter(user=user, team__name="Outsiders").exists()


def test_an_invitation_is_not_a_squatters(mallory: User, invited: str) -> None:
    client = browser_of(mallory)
    for page in (client.get(invited), client.post(invited)):
        assert "Ask the person who runs it to confirm" in page.content.decode()
    assert not is_in(mallory)


def test_once_confirmed_by_mail_it_is(mallory: User, invited: str, settings: Settings) -> None:
    settings.MAIL_LEAVES = True
    client = browser_of(mallory)
    assert "Send a confirmation email" in client.get(invited).content.decode()
    mail.outbox.clear()
    change(client, "send", mallory.email)
    client.post(the_link())
    client.post(invited)
    assert is_in(mallory)


def test_once_confirmed_by_staff_it_is_and_the_log_has_it(world: World, mallory: User, invited: str) -> None:
    staff = User.objects.create_superuser("root@example.org")
    root = Client()
    root.force_login(staff)
    answers = {"action": "confirm_addresses", "_selected_action": str(mallory.pk)}
    page = root.post(reverse("admin:accounts_user_changelist"), answers, follow=True).content.decode()
    assert "allory@example.org is confirmed" in page
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (staff, str(mallory.pk))
    assert entry.change_message == "Confirmed the address."  # without it, since the log outlives an account
    browser_of(mallory).post(invited)
    assert is_in(mallory)


def test_an_address_that_staff_enters_is_confirmed(world: World, mallory: User) -> None:
    change(browser_of(mallory), "add", VICTIM)
    root = Client()
    root.force_login(User.objects.create_superuser("root@example.org"))
    page = reverse("admin:accounts_user_change", args=[mallory.pk])
    kept = {"is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    inlines = {f"memberships-{part}_FORMS": "0" for part in ("TOTAL", "INITIAL")}
    answers = kept | inlines | {"email": "Mallory@Example.net"}
    assert root.post(page, answers).status_code == 302
    mallory.refresh_from_db()
    assert (mallory.email, email_addresses.is_confirmed(mallory)) == ("mallory@example.net", True)
    assert [row.email for row in EmailAddress.objects.filter(user=mallory)] == ["mallory@example.net"]
    User.objects.filter(pk=mallory.pk).update(first_name="M")
    EmailAddress.objects.filter(user=mallory).update(verified=False)
    assert root.post(page, answers | {"first_name": "Mal", "email": mallory.email}).status_code == 302
    assert not email_addresses.is_confirmed(mallory)


def test_staff_sees_who_is_confirmed_and_makes_no_address_by_hand(world: World, mallory: User) -> None:
    root = Client()
    root.force_login(User.objects.create_superuser("root@example.org"))
    page = root.get(reverse("admin:accounts_user_changelist")).content.decode()
    assert page.count("icon-no.svg") >= 1
    assert root.get("/admin/account/emailaddress/").status_code == 404


def test_a_page_tells_whose_address_is_unconfirmed(world: World, mallory: User, settings: Settings) -> None:
    page = browser_of(mallory).get(reverse("account_email")).content.decode()
    assert "been confirmed as your" in page
    assert "Ask the person who runs it to confirm" in page
    settings.MAIL_LEAVES = True
    assert "Send a confirmation email" in browser_of(mallory).get(reverse("account_email")).content.decode()
    page = browser_of(world.bob).get(reverse("account_email")).content.decode()
    assert "been confirmed as your" not in page


def test_following_the_link_while_signed_out_confirms_no_address(world: World, mallory: User) -> None:
    """The address's real owner wonders about the email, and clicks."""
    change(browser_of(mallory), "add", VICTIM)
    link = the_link()
    anonymous, bob = Client(), browser_of(world.bob)
    assert reverse("account_login") in anonymous.post(link).headers["Location"]
    for page in (bob.get(link), bob.post(link)):
        assert "another account asked for" in page.content.decode()
    assert bob.get(reverse("home")).status_code == 302
    assert address_of(mallory) == "mallory@example.org"


def test_of_two_who_ask_for_an_address_one_gets_it(world: World, mallory: User) -> None:
    first, second = browser_of(mallory), browser_of(world.bob)
    change(first, "add", VICTIM)
    one = the_link()
    mail.outbox.clear()
    change(second, "add", VICTIM)
    second.post(the_link())
    assert "belongs to someone else" in first.get(one).content.decode()
    first.post(one)
    assert (address_of(world.bob), address_of(mallory)) == (VICTIM, "mallory@example.org")


def test_an_account_made_meanwhile_keeps_its_address(world: World, mallory: User) -> None:
    client = browser_of(mallory)
    change(client, "add", VICTIM)
    User.objects.create_user(VICTIM, confirmed=False)
    page = client.post(the_link())
    assert (page.status_code, "belongs to someone else" in page.content.decode()) == (200, True)
    assert address_of(mallory) == "mallory@example.org"


def test_an_unconfirmed_claim_of_an_address_blocks_no_sign_up(
    world: World, mallory: User, settings: Settings
) -> None:
    settings.SIGNUP_OPEN = True
    change(browser_of(mallory), "add", VICTIM)
    answers = {"email": VICTIM, "password1": "a long sentence", "password2": "a long sentence"}
    Client().post(reverse("account_signup"), answers)
    made = User.objects.get(email=VICTIM)
    assert not email_addresses.is_confirmed(made)
    assert [row.user for row in EmailAddress.objects.filter(email=VICTIM)] == [made]


def test_a_new_password_is_for_the_account_whose_address_it_is(world: World, mallory: User) -> None:
    change(browser_of(mallory), "add", VICTIM)
    User.objects.create_user(VICTIM, confirmed=False)
    mail.outbox.clear()
    Client().post(reverse("account_reset_password"), {"email": VICTIM})
    assert len(mail.outbox) == 1


def test_a_new_password_by_mail_drops_an_unconfirmed_accounts_factors(world: World, mallory: User) -> None:
    """They sign in without the password, or keep its owner out; the person who took the address has them."""
    for user in (mallory, world.bob):
        with_app(user)
        RecoveryCodes.activate(user)
        Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={})
        mail.outbox.clear()
        client = Client()
        client.post(reverse("account_reset_password"), {"email": user.email})
        page = client.get(the_link(), follow=True).redirect_chain[-1][0]
        client.post(page, {"password1": "a long sentence", "password2": "a long sentence"})
        assert User.objects.get(pk=user.pk).check_password("a long sentence")
    kinds = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES, Authenticator.Type.WEBAUTHN
    kept = Authenticator.objects.values_list("user", "type")
    assert set(kept) == {(world.bob.pk, kind) for kind in kinds}
    for user in (mallory, world.bob):
        client = Client()
        client.post(reverse("account_login"), {"login": user.email, "password": "a long sentence"})
        assert ("_auth_user_id" in client.session) == (user == mallory)


@pytest.mark.parametrize("email", ["VICTIM@example.org", "victim@ｅxample.org", "victim@example．org"])
def test_an_address_has_one_spelling(world: World, mallory: User, email: str) -> None:
    User.objects.create_user(VICTIM)
    assert change(browser_of(mallory), "add", email).status_code == 200
    assert not EmailAddress.objects.filter(user=mallory).exclude(email=mallory.email).exists()
    assert invitations.invite(world.team, email, Role.VIEWER, world.alice).invitation.email == VICTIM


@pytest.mark.parametrize("email", ["victim@evil＠example.org", "a@example.org℀b"])
def test_what_is_no_address_once_it_is_spelt_out(world: World, mallory: User, email: str) -> None:
    change(browser_of(mallory), "add", email)
    assert EmailAddress.objects.filter(user=mallory).count() == 1


def test_who_was_made_by_an_operator_is_confirmed(world: World) -> None:
    call_command("setup_team", "North", "--owner", "dora@example.org", stdout=None)
    assert email_addresses.is_confirmed(User.objects.get(email="dora@example.org"))
    assert email_addresses.is_confirmed(User.objects.create_superuser("root@example.org"))
