"""Protection against server-side request forgery: connections to public addresses only.

A host name is resolved once, all its addresses are checked, and the connection goes to a checked address. So
a name server can't return a public address for the check and a private one for the connection (DNS
rebinding). Any request to a URL from a client goes through here.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], list[str]]

MAX_ADDRESSES = 4
GLOBAL_UNICAST = IPv6Network("2000::/3")
SPECIAL_PURPOSE = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    2001::/23 2001:db8::/32 2002::/16 3fff::/20
"""
"""Source: IANA's special-purpose address registries; for IPv6, the blocks within GLOBAL_UNICAST."""

AZURE_PLATFORM = "168.63.129.16/32"
"""Internal services of the Azure cloud, on an address from a public range."""

NOT_PUBLIC = [ip_network(text) for text in [*SPECIAL_PURPOSE.split(), AZURE_PLATFORM]]


def is_public(address: Address) -> bool:
    """Return True if the address can belong to a host on the public internet."""
    # Only global unicast. That excludes the forms that embed an IPv4 address: mapped, compatible and NAT64
    # (64:ff9b::/96, 64:ff9b:1::/48); Teredo and 6to4 are in the list.
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def resolve_by_system(host: str) -> list[str]:
    """Return all addresses of a host in order of preference; raise OSError if it has none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Deadline:
    """The time by which a whole fetch has to end."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Return the seconds left, but no more than ``at_most``; raise ReadTimeout if the time is over."""
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("The deadline of the whole fetch has passed.")
        return seconds if at_most is None else min(seconds, at_most)


@dataclass(frozen=True)
class GuardedWire(httpcore.NetworkBackend):
    """A network backend that connects only to addresses it has resolved and checked itself."""

    wire: httpcore.NetworkBackend
    resolve: Resolve
    allows: Callable[[Address], bool]
    deadline: Deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that accepts; raise ConnectError if any address is forbidden.

        One forbidden address is enough: a name with both public and private ones is suspicious.
        """
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in self._checked_addresses(host, timeout)[:MAX_ADDRESSES]:
            seconds = self.deadline.left(timeout)
            try:
                stream = self.wire.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, self.deadline)
        raise failure

    def _checked_addresses(self, host: str, timeout: float | None) -> list[Address]:
        addresses = [ip_address(text) for text in self._resolve_in_time(host, timeout)]
        for address in addresses:
            if not self.allows(address):
                raise httpcore.ConnectError(f"{host} has the forbidden address {address}.")
        return addresses

    def _resolve_in_time(self, host: str, timeout: float | None) -> list[str]:
        resolved: SimpleQueue[list[str]] = SimpleQueue()

        def resolve() -> None:
            try:
                resolved.put(self.resolve(host))
            except OSError:
                resolved.put([])

        # getaddrinfo() has no time-out, so it runs in a thread. One that is left behind ends with the
        # resolver's own time-out; as a daemon it doesn't keep the process from exiting.
        Thread(target=resolve, daemon=True).start()
        try:
            return resolved.get(timeout=self.deadline.left(timeout))
        except Empty as error:
            raise httpcore.ConnectTimeout(f"{host} wasn't resolved in time.") from error


@dataclass(frozen=True)
class TimedStream(httpcore.NetworkStream):
    """A connection that enforces the deadline, however steadily the server drips its bytes."""

    stream: httpcore.NetworkStream
    deadline: Deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, self.deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, self.deadline.left(timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self.stream.start_tls(ssl_context, server_hostname, self.deadline.left(timeout))
        return TimedStream(secured, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)
