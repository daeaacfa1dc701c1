"""The settings of the identity provider: what is refused before anything is served."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from pixian_web import oidc


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("", {}),
        ("staff=shop:member", {"staff": [("shop", "member")]}),
        (
            " staff = shop:member , leads=shop:manager,staff=lab-2:viewer,",
            {"staff": [("shop", "member"), ("lab-2", "viewer")], "leads": [("shop", "manager")]},
        ),
        ("cn=staff,ou=shop=shop:member", {"cn=staff,ou=shop": [("shop", "member")]}),
        ("/company/shop staff=shop:viewer", {"/company/shop staff": [("shop", "viewer")]}),
    ],
)
def test_groups(text: str, mapping: dict[str, list[tuple[str, str]]]) -> None:
    assert oidc.groups(text) == mapping


@pytest.mark.parametrize(
    "text", ["staff", "staff=shop", "staff=shop:owner", "=shop:member", "a=b:member;c=d"]
)
def test_groups_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_GROUPS"):
        oidc.groups(text)


@pytest.mark.parametrize(
    "url", ["https://login.example.org/", "http://127.0.0.1:8080/x", "http://localhost", ""]
)
def test_an_issuer(url: str) -> None:
    assert oidc.issuer(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.org",
        "http://127.0.0.1.example.org",
        "https://user@login.example.org",
        "https://login.example.org/?realm=x",
        f"https://login.example.org/{'x' * 200}",
    ],
)
def test_an_issuer_that_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_ISSUER"):
        oidc.issuer(url)


@pytest.mark.parametrize(
    ("client_id", "secret", "scopes", "mapped", "named"),
    [
        ("", "secret", ["openid"], True, "OIDC_CLIENT_ID"),
        ("id", "", ["openid"], True, "OIDC_CLIENT_SECRET"),
        ("id", "secret", ["email"], True, "OIDC_SCOPES"),
        ("id", "secret", ["openid"], False, "OIDC_TEAM"),
    ],
)
def test_what_an_issuer_needs(
    client_id: str, secret: str, scopes: list[str], mapped: bool, named: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        oidc.providers("https://login.example.org", client_id, secret, scopes, mapped=mapped)
    assert oidc.providers("", client_id, secret, scopes, mapped=mapped)["openid_connect"]["APPS"] == []
