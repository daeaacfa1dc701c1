"""Determine the client's IP address, trusting only our own proxies."""

from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest

log = structlog.get_logger(__name__)

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits hold an IPv4 address."""

SUBNET_BITS = 64
"""A customer gets at least a /64 of IPv6, and may use each of its 2^64 addresses."""


def client_ip(request: HttpRequest) -> str:
    """Return the client's address, as text.

    Each proxy appends its peer's address to X-Forwarded-For. So our proxies wrote the last TRUSTED_PROXIES
    entries, the first of these is the client, and the client may have forged everything before it. For a
    request that passed fewer proxies, the address of its connection is used.
    """
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    forwarded = _address(hops[-trusted]) if 0 < trusted <= len(hops) else None
    peer = str(request.META.get("REMOTE_ADDR", ""))
    address = forwarded or _address(peer)
    if hops != [""] and not trusted and address and address.is_private:
        _warn_of_a_proxy()
    return str(address or peer)


def client_subnet(request: HttpRequest) -> str:
    """Return the key by which guesses are limited: an IPv4 address, or the /64 of an IPv6 address."""
    text = client_ip(request)
    address = _address(text)
    if not isinstance(address, IPv6Address):
        return text
    return str(IPv6Network((int(address), SUBNET_BITS), strict=False))


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """Parse an address, dropping a port or zone (``%eth0``); return None if it isn't one.

    An IPv6 address that carries an IPv4 address is returned as the latter. Otherwise all users behind one
    translator would share a limit, and a single 6to4 user would have 65,536 of them.
    """
    host = hop.strip()
    if host.count(":") == 1 or host.startswith("["):
        host = host.removeprefix("[").partition("]" if "]" in host else ":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return _carried_ipv4(address) or address if isinstance(address, IPv6Address) else address


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


@cache
def _warn_of_a_proxy() -> None:
    """Warn, once per process, that all users may share one limit for wrong passwords and keys."""
    log.warning("X-Forwarded-For comes from a proxy on this network; if it is yours, set TRUSTED_PROXIES")
