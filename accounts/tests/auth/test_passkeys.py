"""Passkeys without a browser; the ceremony itself is in tests/site/test_account_pages.py."""

import hashlib
import json
import re
import struct
from base64 import urlsafe_b64encode
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
LOCAL = {"Host": "localhost"}
KEY: dict[str, Any] = {"id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": {}}
ANSWER = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "attestationObject": "AA"}
EXTENDED, ATTESTED = 0x85, 0x45
"""Flags of an authenticator's data: the person was there, and what follows."""

ES256, UNKNOWN = b"\xa1\x03\x26", b"\xa1\x03\x39\x03\xe6"
"""Public keys that name nothing but their algorithm: -7, which every authenticator has, and -999."""

SAID = b'{"type": "webauthn.get", "challenge": "AA", "origin": "http://testserver"}'


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def answer(flags: int, cbor: bytes, client_data: bytes = SAID, site: bytes = bytes(32)) -> dict[str, Any]:
    """Return what an authenticator answers that sends this CBOR, with a signature or for a new passkey."""
    data = site + bytes([flags]) + bytes(4) + cbor
    new = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59" + struct.pack(">H", len(data)) + data
    parts = {"authenticatorData": data, "attestationObject": new, "clientDataJSON": client_data}
    return KEY | {
        "response": {"signature": "AA", "userHandle": "MQ"} | {k: encoded(v) for k, v in parts.items()}
    }


def key(cbor: bytes) -> bytes:
    """Return the data of a new passkey, with this public key."""
    return bytes(16) + b"\x00\x01a" + cbor


NONSENSE = {
    "nothing": "",
    "no JSON": "nonsense",
    "nested JSON": "[" * 100_000,
    "nested objects": '{"a":' * 50_000,
    "a long number": "1" * 5_000,
    "a lone surrogate": r'{"id": "\ud800"}',
    "NaN": "NaN",
} | {
    name: json.dumps(credential)
    for name, credential in {
        "a number": 1,
        "a list": [],
        "an empty object": {},
        "an ID": {"id": "x"},
        "a user": {"response": {"userHandle": "AA"}},
        "null": KEY | {"response": None},
        "short parts": KEY | {"response": ANSWER},
        "short parts of a user": KEY | {"response": ANSWER | {"userHandle": "MQ"}},
        "an ID that isn't encoded": KEY | {"rawId": "é", "response": ANSWER},
        "parts that are no JSON": KEY | {"response": ANSWER | {"clientDataJSON": "////"}},
        "no extensions": answer(EXTENDED, b""),
        "half an extension": answer(EXTENDED, b"\xa1"),
        "half a number": answer(EXTENDED, b"\x1b\x00"),
        "half a fraction": answer(EXTENDED, b"\xf9"),
        "a bad text": answer(EXTENDED, b"\x61\xff"),
        "a list as a key": answer(EXTENDED, b"\xa1\x81\x00\x00"),
        "nested extensions": answer(EXTENDED, b"\x81" * 5_000 + b"\x00"),
        "a short passkey": answer(ATTESTED, bytes(16) + b"\x00\x05ab"),
        "an empty public key": answer(ATTESTED, key(b"\xa0")),
        "a list as a public key": answer(ATTESTED, key(b"\x81\x00")),
        "nested client data": answer(ATTESTED, key(b"\xa1\x03\x26"), b"[" * 3_000),
    }.items()
}


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    """Return alice's browser, in which she has just typed her password."""
    client.force_login(world.alice)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def passkey_of(user: User, cbor: bytes = ES256) -> Authenticator:
    """Make a row as a ceremony leaves it, with a public key that says nothing but its algorithm."""
    data = {"name": "Laptop", "credential": answer(ATTESTED, key(cbor))}
    return Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data=data)


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


@pytest.mark.parametrize("credential", NONSENSE.values(), ids=NONSENSE)
def test_a_malformed_credential_signs_nobody_in(world: World, client: Client, credential: str) -> None:
    client.get(reverse("mfa_login_webauthn"), headers=JSON)
    response = client.post(reverse("mfa_login_webauthn"), {"credential": credential}, follow=True)
    assert response.redirect_chain == [(reverse("account_login"), 302)]
    assert 'role="status"' in response.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("credential", NONSENSE.values(), ids=NONSENSE)
def test_a_malformed_credential_is_no_second_factor(world: World, client: Client, credential: str) -> None:
    with_app(world.alice)
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    client.get(reverse("mfa_authenticate"))
    assert client.post(reverse("mfa_authenticate"), {"credential": credential}).status_code == 200
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("credential", NONSENSE.values(), ids=NONSENSE)
def test_a_malformed_credential_adds_no_passkey(alice: Client, credential: str) -> None:
    alice.get(reverse("mfa_add_webauthn"))
    answers = {"name": "x", "passwordless": "on", "credential": credential}
    page = alice.post(reverse("mfa_add_webauthn"), answers).content.decode()
    assert 'role="alert"' in page
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("credential", NONSENSE.values(), ids=NONSENSE)
def test_a_malformed_credential_confirms_nobody(world: World, client: Client, credential: str) -> None:
    passkey_of(world.alice)
    client.force_login(world.alice)
    client.get(reverse("mfa_reauthenticate_webauthn"))
    response = client.post(reverse("mfa_reauthenticate_webauthn"), {"credential": credential})
    assert (response.status_code, response["Location"]) == (302, reverse("account_login"))
    assert reverse("account_reauthenticate") in client.get(reverse("mfa_add_webauthn"))["Location"]


def reply(page: str, kind: str, flags: int, cbor: bytes, **more: str) -> str:
    """Return the answer to a page's challenge, as a program sends it."""
    (challenge,) = re.findall(r'"challenge": ?"([^"]+)"', page)
    said = {"type": f"webauthn.{kind}", "challenge": challenge, "origin": "http://localhost"}
    return json.dumps(
        answer(flags, cbor, json.dumps(said).encode(), hashlib.sha256(b"localhost").digest()) | more
    )


@pytest.mark.parametrize(
    ("flags", "cbor", "more"),
    [
        (5, b"", {}),
        (ATTESTED, key(ES256), {"note": "\0"}),
        (ATTESTED, key(ES256), {"note": "\ud800"}),
        (ATTESTED, key(ES256), {"note": "x" * 70_000}),
    ],
    ids=["no key", "NUL", "a lone surrogate", "too long"],
)
def test_what_cannot_be_kept_adds_no_passkey(
    alice: Client, flags: int, cbor: bytes, more: dict[str, str]
) -> None:
    page = alice.get(reverse("mfa_add_webauthn"), headers=LOCAL).content.decode()
    answers = {"name": "x", "credential": reply(page, "create", flags, cbor, **more)}
    page = alice.post(reverse("mfa_add_webauthn"), answers, headers=LOCAL).content.decode()
    assert 'role="alert"' in page
    assert not Authenticator.objects.exists()


def test_a_passkey_is_added(alice: Client) -> None:
    page = alice.get(reverse("mfa_add_webauthn"), headers=LOCAL).content.decode()
    answers = {"name": "x", "credential": reply(page, "create", ATTESTED, key(ES256))}
    assert alice.post(reverse("mfa_add_webauthn"), answers, headers=LOCAL).status_code == 302
    assert Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN).exists()


def test_a_key_of_an_unknown_algorithm_signs_nobody_in(world: World, client: Client) -> None:
    passkey_of(world.alice, cbor=UNKNOWN)
    page = client.get(reverse("mfa_login_webauthn"), headers=JSON | LOCAL).content.decode()
    credential = json.loads(reply(page, "get", 5, b""))
    credential["rawId"] = credential["id"] = encoded(b"a")
    credential["response"]["userHandle"] = encoded(str(world.alice.pk).encode())
    response = client.post(
        reverse("mfa_login_webauthn"), {"credential": json.dumps(credential)}, headers=LOCAL
    )
    assert (response.status_code, response["Location"]) == (302, reverse("account_login"))
    assert "_auth_user_id" not in client.session


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
