"""Where ``next=`` may lead: to pages of this site, whatever else is written there."""

import pytest
from django.test import Client
from django.urls import reverse

from conftest import World

pytestmark = pytest.mark.both_databases

BROKEN = [
    "//[x]",
    "http://[",
    "https://[::1",
    "http://[x]/",
    "//[",
    "http://a]b",
    "http://\u2100/",
    "//\\[x]",
]
FOREIGN = ["https://elsewhere.example.org/", "//elsewhere.example.org", "javascript:alert(1)"]
PAGES = [
    "account_login",
    "account_logout",
    "account_signup",
    "account_reauthenticate",
    "account_reset_password",
    "admin:login",
    "mfa_authenticate",
    "mfa_reauthenticate",
    "mfa_login_webauthn",
    "set_language",
]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("who", ["stranger", "alice"])
def test_an_address_that_is_none_breaks_no_page(world: World, who: str, name: str) -> None:
    client = Client()
    if who == "alice":
        client.force_login(world.alice)
    for address in BROKEN:
        typed = {"next": address, "login": "nobody@example.org", "password": "wrong", "language": "en"}
        assert client.get(reverse(name), {"next": address}).status_code < 500, address
        assert client.post(reverse(name), typed).status_code < 500, address
        assert client.get(reverse(name), headers={"Referer": address}).status_code < 500, address


@pytest.mark.parametrize("address", [*BROKEN, *FOREIGN])
def test_a_log_in_leads_home_in_its_place(world: World, client: Client, address: str) -> None:
    typed = {"login": world.alice.email, "password": "correct horse", "next": address}
    assert client.post(reverse("account_login"), typed)["Location"] == reverse("home")
