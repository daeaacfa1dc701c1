"""The address that a request comes from, as far as it can be believed."""

from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest

log = structlog.get_logger(__name__)

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""

SUBNET_BITS = 64
"""One customer's share of IPv6 is a /64 at least, and each of its 2^64 addresses is theirs to use."""


def client_ip(request: HttpRequest) -> str:
    """Where a request comes from, as far as that can be believed.

    Each proxy adds the address that it was asked from to X-Forwarded-For. So the last TRUSTED_PROXIES of them
    were written by ours, the first of these names the sender, and what stands before it the sender made up.
    A request that came by fewer proxies is told by its connection.
    """
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    told = _address(hops[-trusted]) if 0 < trusted <= len(hops) else None
    peer = str(request.META.get("REMOTE_ADDR", ""))
    address = told or _address(peer)
    if hops != [""] and not trusted and address and address.is_private:
        _warn_of_a_proxy()
    return str(address or peer)


def client_subnet(request: HttpRequest) -> str:
    """Return what a guesser is counted by: an IPv4 address, or the /64 of an IPv6 address."""
    text = client_ip(request)
    address = _address(text)
    if not isinstance(address, IPv6Address):
        return text
    return str(IPv6Network((int(address), SUBNET_BITS), strict=False))


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    """Return the address without a port or a zone (``%eth0``), or None if it is none.

    An IPv6 address that carries an IPv4 one is returned as that one. Otherwise everybody behind a translator
    would share one limit, and one person with 6to4 would have 65,536 of them.
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
    """Warn once per process that everybody may share one limit for wrong passwords and keys."""
    log.warning("X-Forwarded-For comes from a proxy on this network; if it is yours, set TRUSTED_PROXIES")
