"""Passkeys without a browser; the ceremony itself is in tests/site/test_account_pages.py."""

import json
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.auth.factors import with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"
JSON = {"Accept": "application/json"}
KEY: dict[str, Any] = {"id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": {}}
ANSWER = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "attestationObject": "AA"}
NONSENSE = [
    "",
    "nonsense",
    *map(
        json.dumps,
        (
            1,
            [],
            {},
            {"id": "x"},
            {"response": {"userHandle": "AA"}},
            KEY | {"response": None},
            KEY | {"response": ANSWER},
            KEY | {"response": ANSWER | {"userHandle": "MQ"}},
            KEY | {"rawId": "é", "response": ANSWER},
            KEY | {"response": ANSWER | {"clientDataJSON": "////"}},
        ),
    ),
]


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    """Return alice's browser, in which she has just typed her password."""
    client.force_login(world.alice)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def passkey_of(user: User, name: str = "Laptop") -> Authenticator:
    """Make a row as a ceremony leaves it, without the key."""
    return Authenticator.objects.create(
        user=user, type=Authenticator.Type.WEBAUTHN, data={"name": name, "credential": {}}
    )


def options_on(page: str) -> Any:
    (found,) = re.findall(r'<script id="js_data" type="application/json">(.*?)</script>', page)
    return json.loads(found)


def test_what_a_browser_is_asked_for_a_new_one(world: World, alice: Client) -> None:
    page = alice.get(reverse("mfa_add_webauthn"), headers={"Host": "localhost"}).content.decode()
    asked = options_on(page)["creation_options"]["publicKey"]
    assert asked["rp"] == {"id": "localhost", "name": "Pixian Web"}
    assert asked["user"]["name"] == world.alice.email
    assert 'value="Passkey 1"' in page


def test_a_passkey_login_reveals_no_user(db: None, client: Client) -> None:
    """So the response tells no stranger who has an account."""
    answer = client.get(reverse("mfa_login_webauthn"), headers=JSON).json()
    asked = answer["request_options"]["publicKey"]
    assert asked["userVerification"] == "required"
    assert asked.get("allowCredentials", []) == []


@pytest.mark.parametrize("credential", NONSENSE)
def test_a_malformed_credential_signs_nobody_in(world: World, client: Client, credential: str) -> None:
    client.get(reverse("mfa_login_webauthn"), headers=JSON)
    response = client.post(reverse("mfa_login_webauthn"), {"credential": credential}, follow=True)
    assert response.redirect_chain == [(reverse("account_login"), 302)]
    assert 'role="status"' in response.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("credential", NONSENSE)
def test_a_malformed_credential_is_no_second_factor(world: World, client: Client, credential: str) -> None:
    with_app(world.alice)
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    client.get(reverse("mfa_authenticate"))
    assert client.post(reverse("mfa_authenticate"), {"credential": credential}).status_code == 200
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("credential", NONSENSE)
def test_a_malformed_credential_adds_no_passkey(alice: Client, credential: str) -> None:
    alice.get(reverse("mfa_add_webauthn"))
    answers = {"name": "x", "passwordless": "on", "credential": credential}
    page = alice.post(reverse("mfa_add_webauthn"), answers).content.decode()
    assert 'role="alert"' in page
    assert not Authenticator.objects.exists()


def test_renaming_and_removing(world: World, alice: Client) -> None:
    passkey = passkey_of(world.alice)
    assert "Laptop" in alice.get(reverse("mfa_list_webauthn")).content.decode()
    alice.post(reverse("mfa_edit_webauthn", args=[passkey.pk]), {"name": "<b>Phone"})
    page = alice.get(reverse("mfa_list_webauthn")).content.decode()
    assert "&lt;b&gt;Phone" in page
    assert "<b>Phone" not in page
    assert alice.get(reverse("mfa_remove_webauthn", args=[passkey.pk])).status_code == 200
    alice.post(reverse("mfa_remove_webauthn", args=[passkey.pk]))
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("name", ["mfa_edit_webauthn", "mfa_remove_webauthn"])
def test_those_of_others_are_not_there(world: World, alice: Client, name: str) -> None:
    passkey = passkey_of(world.bob)
    assert alice.get(reverse(name, args=[passkey.pk])).status_code == 404
    assert alice.post(reverse(name, args=[passkey.pk]), {"name": "mine"}).status_code == 404
    passkey.refresh_from_db()
    assert passkey.data["name"] == "Laptop"
