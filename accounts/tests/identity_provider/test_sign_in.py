"""Sign-in through an identity provider: who comes in, as whom, and what a wrong answer leads to."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.identity_provider import bounded_session
from accounts.models import Role, User
from accounts.tests.auth.factors import with_app
from accounts.tests.auth.mailbox import the_link
from accounts.tests.identity_provider.provider import Provider, configure, leave, said, serving, sign_in
from conftest import World

pytestmark = pytest.mark.both_databases


@pytest.fixture
def provider(world: World, settings: Settings) -> Iterator[Provider]:
    with serving() as provider:
        configure(settings, provider.issuer, team=world.team.slug)
        yield provider


def who(client: Client) -> str | None:
    pk = client.session.get("_auth_user_id")
    return User.objects.get(pk=pk).email if pk else None


def confirmed_as(client: Client, user: User) -> None:
    """Sign in, and confirm with the password who it is."""
    client.force_login(user)
    client.post(reverse("account_reauthenticate"), {"password": "correct horse"})


def test_a_person_of_the_provider_gets_an_account_and_a_membership(
    world: World, provider: Provider, client: Client, settings: Settings
) -> None:
    settings.SIGNUP_OPEN = False
    response = sign_in(provider, client)
    assert response["Location"] == reverse("home")
    dora = User.objects.get(email="dora@example.org")
    assert who(client) == dora.email
    assert (dora.get_full_name(), dora.is_staff, dora.has_usable_password()) == ("Dora Duval", False, False)
    member = dora.memberships.get()
    assert (member.team, member.role, member.from_provider) == (world.team, Role.MEMBER, True)
    sign_in(provider, Client())
    assert User.objects.filter(email="dora@example.org").count() == 1


def test_the_sign_in_page_offers_the_provider_first(provider: Provider, client: Client) -> None:
    page = client.get(reverse("account_login")).content.decode()
    assert page.index("Sign in with Example SSO") < page.index('name="login"')


def test_without_a_provider_there_is_no_button_and_no_page(world: World, client: Client) -> None:
    assert "oidc" not in client.get(reverse("account_login")).content.decode()
    assert client.post(reverse("oidc_login")).status_code == 404
    assert client.get(reverse("oidc_callback")).status_code == 404


def test_next_leads_to_a_page_of_this_site_alone(world: World, provider: Provider, client: Client) -> None:
    inside = reverse("team", args=[world.team.slug])
    assert sign_in(provider, client, next=inside)["Location"] == inside
    assert sign_in(provider, Client(), next="https://elsewhere.example.org/")["Location"] == reverse("home")


def test_a_link_elsewhere_begins_nothing(provider: Provider, client: Client) -> None:
    assert client.get(reverse("oidc_login"))["Location"] == reverse("account_login")
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(reverse("oidc_login")).status_code == 403


def test_an_address_begins_no_more_than_a_hundred_times(provider: Provider, client: Client) -> None:
    begun = [client.post(reverse("oidc_login")).status_code for _ in range(101)]
    assert begun == [200] * 100 + [429]


@pytest.mark.parametrize(
    "claim", [{"is_staff": True}, {"is_superuser": True}, {"groups": ["admin", "owner"]}]
)
def test_the_provider_makes_nobody_staff(provider: Provider, client: Client, claim: dict[str, Any]) -> None:
    provider.claims |= claim
    sign_in(provider, client)
    dora = User.objects.get(email="dora@example.org")
    assert (dora.is_staff, dora.is_superuser, dora.memberships.get().role) == (False, False, Role.MEMBER)


def test_whom_no_group_puts_into_a_team_gets_no_account(
    provider: Provider, client: Client, settings: Settings
) -> None:
    configure(settings, provider.issuer, groups="staff=aurora:member")
    assert "doesn't give your account access" in said(client, sign_in(provider, client))
    assert not User.objects.filter(email="dora@example.org").exists()


def test_a_person_without_an_address_is_told(provider: Provider, client: Client) -> None:
    provider.claims.pop("email")
    assert "didn't pass on your email address" in said(client, sign_in(provider, client))


# An account that has the same address here

VERIFIED = {"sub": "bob-7", "email": "Bob@Example.org", "email_verified": True}


def test_a_verified_address_opens_its_account_if_the_operator_trusts_the_provider(
    world: World, provider: Provider, client: Client, settings: Settings
) -> None:
    configure(settings, provider.issuer, team=world.team.slug, trust=True)
    provider.claims = dict(VERIFIED)
    sign_in(provider, client)
    assert who(client) == "bob@example.org"
    provider.claims |= {"email": "robert@example.org"}  # the account stays theirs
    sign_in(provider, again := Client())
    assert who(again) == "bob@example.org"
    world.bob.refresh_from_db()
    assert world.bob.has_usable_password()


@pytest.mark.parametrize("verified", [False, None, "false", "yes", 1, ["true"]])
def test_an_unverified_address_opens_nothing(
    world: World, provider: Provider, client: Client, settings: Settings, verified: Any
) -> None:
    configure(settings, provider.issuer, team=world.team.slug, trust=True)
    provider.claims = VERIFIED | {"email_verified": verified}
    provider.claims = {name: value for name, value in provider.claims.items() if value is not None}
    assert "already has an account here" in said(client, sign_in(provider, client))
    assert who(client) is None
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("case", ["untrusted", "unconfirmed", "staff", "superuser", "asked for"])
def test_nor_does_a_verified_one_if(
    world: World, provider: Provider, client: Client, settings: Settings, case: str
) -> None:
    configure(settings, provider.issuer, team=world.team.slug, trust=case != "untrusted")
    provider.claims = dict(VERIFIED)
    rows = EmailAddress.objects.filter(user=world.bob)
    if case == "unconfirmed":
        rows.update(verified=False)
    elif case == "asked for":  # another account is about to change to it
        rows.update(email="robert@example.org")
        User.objects.filter(pk=world.bob.pk).update(email="robert@example.org")
        EmailAddress.objects.create(user=world.bob, email="bob@example.org", verified=False)
    elif case != "untrusted":
        User.objects.filter(pk=world.bob.pk).update(**{f"is_{case}": True})
    response = sign_in(provider, client)
    if case == "asked for":
        assert User.objects.get(email="bob@example.org").pk != world.bob.pk
    else:
        assert "already has an account here" in said(client, response)
        assert who(client) is None


def test_an_address_that_nobody_verified_stays_unconfirmed(
    provider: Provider, client: Client, settings: Settings
) -> None:
    sign_in(provider, client)
    assert not EmailAddress.objects.get(email="dora@example.org").verified
    configure(settings, provider.issuer, team="aurora", trust=True)
    provider.claims = VERIFIED | {"email": "emma@example.org"}
    sign_in(provider, Client())
    assert EmailAddress.objects.get(email="emma@example.org").verified


def test_the_same_subject_of_another_provider_is_another_person(
    world: World, provider: Provider, client: Client, settings: Settings
) -> None:
    sign_in(provider, client)
    with serving() as other:
        configure(settings, other.issuer, team=world.team.slug)
        other.claims |= {"email": "eve@example.org"}
        sign_in(other, stranger := Client())
    assert who(stranger) == "eve@example.org"


def test_a_user_connects_their_account(world: World, provider: Provider, client: Client) -> None:
    confirmed_as(client, world.bob)
    assert "Connect with Example SSO" in client.get(reverse("account_email")).content.decode()
    provider.claims = VERIFIED | {"email_verified": False}
    assert "You can now sign in through Example SSO" in said(client, sign_in(provider, client))
    assert "Connect with" not in client.get(reverse("account_email")).content.decode()
    sign_in(provider, again := Client())
    assert who(again) == "bob@example.org"
    confirmed_as(other := Client(), world.vera)
    assert "belongs to someone else here" in said(other, sign_in(provider, other))


def test_a_connection_needs_the_password_again(world: World, provider: Provider, client: Client) -> None:
    client.force_login(world.bob)
    assert sign_in(provider, client)["Location"] == reverse("account_reauthenticate")
    assert not SocialAccount.objects.exists()
    client.post(reverse("account_reauthenticate"), {"password": "correct horse"})
    assert SocialAccount.objects.get().user == world.bob


def test_a_user_disconnects_their_account(
    world: World, provider: Provider, client: Client, settings: Settings
) -> None:
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    confirmed_as(client, world.bob)
    sign_in(provider, client)
    assert "Disconnect from Example SSO" in client.get(reverse("account_email")).content.decode()
    mail.outbox.clear()
    response = client.post(reverse("oidc_disconnect"))
    assert "You can no longer sign in through Example SSO" in said(client, response)
    assert "through Example SSO was ended" in mail.outbox[0].subject
    assert not SocialAccount.objects.exists()
    assert client.post(reverse("oidc_disconnect"))["Location"] == reverse("account_email")  # sent twice


def test_a_disconnection_needs_the_password_again(world: World, provider: Provider, client: Client) -> None:
    confirmed_as(client, world.bob)
    sign_in(provider, client)
    client.logout()
    client.force_login(world.bob)
    assert reverse("account_reauthenticate") in client.post(reverse("oidc_disconnect"))["Location"]
    assert SocialAccount.objects.exists()


def test_nobody_loses_the_only_way_to_sign_in(provider: Provider, client: Client) -> None:
    sign_in(provider, client)
    assert "Disconnect" not in client.get(reverse("account_email")).content.decode()
    assert "no password" in said(client, client.post(reverse("oidc_disconnect")))
    assert SocialAccount.objects.exists()


def test_a_second_factor_of_this_site_is_asked_for(
    world: World, provider: Provider, client: Client, settings: Settings
) -> None:
    configure(settings, provider.issuer, team=world.team.slug, trust=True)
    with_app(world.bob)
    provider.claims = dict(VERIFIED)
    assert sign_in(provider, client)["Location"] == reverse("mfa_authenticate")
    assert who(client) is None


def test_a_deactivated_account_stays_closed(provider: Provider, client: Client) -> None:
    sign_in(provider, client)
    User.objects.filter(email="dora@example.org").update(is_active=False)
    assert sign_in(provider, closed := Client())["Location"] == reverse("account_inactive")
    assert who(closed) is None


def test_a_new_password_ends_the_connection_of_an_unconfirmed_address(
    provider: Provider, client: Client, settings: Settings
) -> None:
    """Whoever reads the mails of an address gets the account that a stranger made for it, alone."""
    settings.MAIL_LEAVES = True
    sign_in(provider, client)
    mail.outbox.clear()
    owner = Client()
    owner.post(reverse("account_reset_password"), {"email": "dora@example.org"})
    form = owner.get(the_link(), follow=True)
    passwords = dict.fromkeys(("password1", "password2"), "a rather long sentence")
    owner.post(form.request["PATH_INFO"], passwords)
    assert not SocialAccount.objects.exists()
    stranger = Client()
    assert "already has an account here" in said(stranger, sign_in(provider, stranger))


# Wrong answers

WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "another issuer": ("id_token", {"iss": "https://elsewhere.example.org"}),
    "no issuer": ("id_token", {"iss": None}),
    "another audience": ("id_token", {"aud": "another-client"}),
    "no audience": ("id_token", {"aud": None}),
    "another client": ("id_token", {"aud": ["pixian-web", "x"], "azp": "x"}),
    "expired": ("id_token", {"exp": int(time.time()) - 60}),
    "never expires": ("id_token", {"exp": None}),
    "another nonce": ("id_token", {"nonce": "replayed"}),
    "no nonce": ("id_token", {"nonce": None}),
    "no subject": ("id_token", {"sub": None}),
    "long subject": ("id_token", {"sub": "x" * 192}),
    "no ID token": ("token", {"id_token": None}),
    "broken ID token": ("token", {"id_token": "a.b.c"}),
    "no access token": ("token", {"access_token": None, "error": "invalid_grant"}),
    "expires never": ("token", {"expires_in": "soon"}),
    "another person": ("userinfo", {"sub": "eve"}),
    "nobody": ("userinfo", {"sub": None}),
    "a name that is none": ("userinfo", {"name": 5}),
    "NUL in a name": ("userinfo", {"name": "Dora\0"}),
    "NUL in a surname": ("userinfo", {"family_name": "Duval\0"}),
    "half a character in a name": ("userinfo", {"name": "Dora \ud800"}),
    "NUL in a group": ("userinfo", {"groups": ["staff", "\0"]}),
    "half a character in a group": ("userinfo", {"groups": "\ud800"}),
    "NUL in a subject": ("claims", {"sub": "dora\0"}),
    "half a character in a subject": ("claims", {"sub": "\ud800"}),
    "expires after the end of time": ("token", {"expires_in": 10**30}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_signs_nobody_in(provider: Provider, client: Client, case: str) -> None:
    document, change = WRONG[case]
    getattr(provider, document).update(change)
    assert "didn't work" in said(client, sign_in(provider, client))
    assert who(client) is None
    assert not User.objects.filter(email="dora@example.org").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://elsewhere.example.org"},
        {"issuer": None},
        {"token_endpoint": "http://login.example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
)
def test_a_discovery_document_that_is_not_the_issuers_begins_nothing(
    provider: Provider, client: Client, change: dict[str, Any]
) -> None:
    provider.discovery = change
    assert "didn't work" in said(client, client.post(reverse("oidc_login")))


def test_a_document_too_nested_to_be_read_signs_nobody_in(provider: Provider, client: Client) -> None:
    answer = provider.authorize(leave(client))
    provider.text = b"[" * 100_000
    assert "didn't work" in said(client, client.get(reverse("oidc_callback"), answer))
    assert "didn't work" in said(client, client.post(reverse("oidc_login")))
    assert who(client) is None


def test_a_provider_without_a_userinfo_endpoint_will_do(provider: Provider, client: Client) -> None:
    provider.discovery = {"userinfo_endpoint": None}
    provider.id_token = {"email": "dora@example.org"}
    sign_in(provider, client)
    assert who(client) == "dora@example.org"


def test_an_answer_of_another_browser_is_refused(provider: Provider, client: Client) -> None:
    answer = provider.authorize(leave(client))
    stranger = Client()
    assert "didn't work" in said(stranger, stranger.get(reverse("oidc_callback"), answer))
    client.get(reverse("oidc_callback"), answer)
    assert who(client) == "dora@example.org"
    replayed = client.get(reverse("oidc_callback"), answer)
    assert replayed["Location"] == reverse("account_email")


def test_a_person_may_cancel(provider: Provider, client: Client) -> None:
    answer = provider.authorize(leave(client), error="access_denied")
    assert "was cancelled" in said(client, client.get(reverse("oidc_callback"), answer))
    answer = provider.authorize(leave(client), error="server_error")
    assert "didn't work" in said(client, client.get(reverse("oidc_callback"), answer))


def test_a_provider_that_is_down_is_said(provider: Provider, client: Client, settings: Settings) -> None:
    answer = provider.authorize(leave(client))
    provider.status = 503
    assert "can't be reached" in said(client, client.get(reverse("oidc_callback"), answer))
    assert "can't be reached" in said(client, client.post(reverse("oidc_login")))
    configure(settings, "http://127.0.0.1:9", team="aurora")
    assert "can't be reached" in said(client, client.post(reverse("oidc_login")))


@pytest.mark.parametrize("slow", [{"slow": 0.6}, {"drip": 0.02}])
def test_a_slow_provider_is_given_up(
    provider: Provider, client: Client, monkeypatch: pytest.MonkeyPatch, slow: dict[str, float]
) -> None:
    monkeypatch.setattr(bounded_session, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(bounded_session, "WHOLE_SECONDS", 0.3)
    vars(provider).update(slow)
    assert "can't be reached" in said(client, client.post(reverse("oidc_login")))


def test_an_endless_answer_is_given_up(
    provider: Provider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_session, "MAX_BYTES", 100)
    assert "can't be reached" in said(client, client.post(reverse("oidc_login")))


def test_no_redirect_is_followed(provider: Provider, client: Client) -> None:
    answer = provider.authorize(leave(client))
    provider.status, provider.location = 307, f"{provider.issuer}/elsewhere"
    said(client, client.get(reverse("oidc_callback"), answer))
    assert "/elsewhere" not in provider.asked
