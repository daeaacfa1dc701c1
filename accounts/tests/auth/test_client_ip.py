"""Where a request comes from: what our own proxies wrote is believed, what the sender wrote isn't."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from accounts.auth import client_ip as addresses
from accounts.auth.adapter import AccountAdapter
from accounts.auth.client_ip import client_ip

pytestmark = pytest.mark.both_databases

PEER = "192.0.2.9"


def asked(forwarded: str | None, peer: str = PEER) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    address = client_ip(request)
    assert AccountAdapter(request).get_client_ip(request) == address
    return address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, None, PEER),
        (0, "203.0.113.7", PEER),
        (1, None, PEER),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1,203.0.113.7:51000", "203.0.113.7"),
        (2, "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "203.0.113.7", PEER),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "[fe80::1%25eth0]:443", "fe80::1"),
        (1, "64:ff9b::203.0.113.7", "203.0.113.7"),
        (1, "unknown", PEER),
        (1, "", PEER),
        (1, ",", PEER),
        (3, ",,,", PEER),
        (1, "203.0.113.7, <script>", PEER),
    ],
)
def test_the_address_behind_our_proxies(
    settings: Settings, proxies: int, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert asked(forwarded) == address


@pytest.mark.parametrize(
    ("peer", "address"),
    [("::ffff:203.0.113.7", "203.0.113.7"), ("2001:DB8:0::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1")],
)
def test_a_connections_address_is_read_the_same_way(settings: Settings, peer: str, address: str) -> None:
    assert asked(None, peer) == address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "peer", "warned"),
    [
        (0, "203.0.113.7", "127.0.0.1", True),
        (0, "203.0.113.7", "10.0.0.2", True),
        (0, "203.0.113.7", "8.8.8.8", False),  # a stranger may send what they like
        (0, None, "127.0.0.1", False),
        (1, "203.0.113.7", "127.0.0.1", False),
    ],
)
def test_a_proxy_that_no_setting_names_is_warned_of_once(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    proxies: int,
    forwarded: str | None,
    peer: str,
    warned: bool,
) -> None:
    settings.TRUSTED_PROXIES = proxies
    addresses._warn_of_a_proxy.cache_clear()
    for _ in range(3):
        asked(forwarded, peer)
    assert caplog.text.count("set TRUSTED_PROXIES") == int(warned)


def test_a_unix_socket_has_no_address(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert asked(None, peer="") == ""
    assert asked("203.0.113.7", peer="") == "203.0.113.7"


def test_without_https_no_proxy_is_believed_by_default(settings: Settings) -> None:
    assert settings.TRUSTED_PROXIES == settings.ALLAUTH_TRUSTED_PROXY_COUNT == 0
