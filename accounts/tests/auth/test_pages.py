"""Every page for logging in and for one's account: whole, in our layout, and safe to send."""

import re
from html.parser import HTMLParser

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.tests.auth.factors import with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"
STRANGERS = [
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key_done",
    "account_inactive",
    "account_email_verification_sent",
]
OWN = [
    "account_logout",
    "account_email",
    "account_change_password",
    "account_reauthenticate",
    "mfa_index",
    "mfa_activate_totp",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
]
WITH_A_SECOND_FACTOR = [
    "mfa_index",
    "mfa_reauthenticate",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
]


class Forms(HTMLParser):
    """The method and field names of each form; inline scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, set[str]]] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((said.get("method", "get"), set()))
        elif tag == "input" and self.forms:
            self.forms[-1][1].add(said.get("name", ""))
        runs = tag == "script" and "src" not in said and said.get("type") != "application/json"
        handlers = [name for name in said if name == "style" or name.startswith("on")]
        self.inline += ["script"] * runs + ["style"] * (tag == "style") + handlers


def is_whole(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, (address, response.headers.get("Location"))
    page = response.content.decode()
    assert re.search(r'<html lang="en">', page), address
    assert page.count('<main id="main">') == 1
    assert page.count("<h1>") == 1
    assert re.search(r"<title>\s*\w[^<]*· Pixian Web</title>", page), address
    found = Forms(page)
    assert all("csrfmiddlewaretoken" in fields for method, fields in found.forms if method == "post"), address
    assert found.inline == [], address
    policy = response.headers["Content-Security-Policy"]
    assert "script-src 'self'" in [directive.strip() for directive in policy.split(";")]
    return page


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    client.force_login(world.alice)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


@pytest.mark.parametrize("mail_leaves", [False, True])
@pytest.mark.parametrize("name", STRANGERS)
def test_what_strangers_see(
    db: None, client: Client, settings: Settings, name: str, mail_leaves: bool
) -> None:
    settings.MAIL_LEAVES = mail_leaves
    is_whole(client, reverse(name))


def test_the_open_sign_up(db: None, client: Client, settings: Settings) -> None:
    settings.SIGNUP_OPEN = True
    assert 'name="password2"' in is_whole(client, reverse("account_signup"))


@pytest.mark.parametrize("name", ["account_confirm_email", "account_reset_password_from_key"])
def test_links_of_unknown_users(db: None, client: Client, name: str) -> None:
    args = ["nonsense"] if name == "account_confirm_email" else ["1", "nonsense"]
    assert "This link has already been used or has expired" in is_whole(client, reverse(name, args=args))


@pytest.mark.parametrize("name", OWN)
def test_the_pages_of_the_users_account(alice: Client, name: str) -> None:
    page = is_whole(alice, reverse(name))
    assert ('aria-label="Sign-in settings"' in page) == (
        name not in ("account_logout", "account_reauthenticate")
    )


def test_the_navigation_says_where_one_is(alice: Client) -> None:
    for name in ("account_change_password", "account_email", "mfa_index"):
        page = alice.get(reverse(name)).content.decode()
        current = re.findall(r'href="([^"]+)"\s+aria-current="page"', page)
        assert current == [reverse(name)]


@pytest.mark.parametrize("name", WITH_A_SECOND_FACTOR)
def test_what_belongs_to_a_second_factor(world: World, alice: Client, name: str) -> None:
    with_app(world.alice)
    alice.post(reverse("mfa_generate_recovery_codes"))
    is_whole(alice, reverse(name))


def test_the_second_step(world: World, client: Client) -> None:
    with_app(world.alice)
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    assert 'inputmode="numeric"' in is_whole(client, reverse("mfa_authenticate"))


def test_a_form_that_was_refused_says_so_where_a_reader_hears_it(world: World, alice: Client) -> None:
    answers = {"oldpassword": "wrong", "password1": "short", "password2": "short"}
    page = alice.post(reverse("account_change_password"), answers).content.decode()
    for field in ("id_oldpassword", "id_password1"):
        (described,) = re.findall(rf'aria-describedby="([^"]+)"[^>]*id="{field}"', page)
        assert all(f'id="{part}"' in page for part in described.split())
        assert re.search(rf'aria-invalid="true"[^>]*id="{field}"', page)


@pytest.mark.parametrize("name", ["account_login", "account_signup", "account_reset_password"])
def test_forms_without_a_token_are_refused(world: World, settings: Settings, name: str) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(reverse(name), {"login": "alice@example.org", "password": PASSWORD}).status_code == 403


@pytest.mark.parametrize(
    "name", ["account_change_password", "account_email", "mfa_deactivate_totp", "account_logout"]
)
def test_your_own_second_factors_are_not_counted_either(world: World, name: str) -> None:
    with_app(world.alice)
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.alice)
    assert client.post(reverse(name), {"action_add": "", "email": "a@example.org"}).status_code == 403
    assert Authenticator.objects.filter(user=world.alice).exists()
