"""Connections to public addresses only: a name is resolved once, checked, and connected to as checked.

Below ``pixian.server.url_fetcher``; whatever else calls addresses that strangers name goes through here too.
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
"""Source: IANA's registries of special-purpose addresses; of IPv6 what lies within GLOBAL_UNICAST."""

AZURE_PLATFORM = "168.63.129.16/32"
"""A cloud's own services, on an address that looks public."""

NOT_PUBLIC = [ip_network(text) for text in [*SPECIAL_PURPOSE.split(), AZURE_PLATFORM]]


def is_public(address: Address) -> bool:
    """Whether it is a host's on the open internet.

    Of IPv6 that is global unicast alone, and so nothing that carries an IPv4 address inside: mapped,
    compatible, NAT64 (``64:ff9b::/96`` and ``64:ff9b:1::/48``), Teredo, 6to4.
    """
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def resolve_by_system(host: str) -> list[str]:
    """Every address the host has, the one to prefer first; raises OSError where it has none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Deadline:
    """The end of one fetch's time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Seconds, more than 0; raises ReadTimeout where none are left."""
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("The time for the whole fetch is over.")
        return seconds if at_most is None else min(seconds, at_most)


@dataclass(frozen=True)
class GuardedWire(httpcore.NetworkBackend):
    """Connects only to addresses that it has looked up and checked itself, within one fetch's time."""

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
        """Raises ConnectError where even one of the host's addresses is forbidden: a name that leads
        outside and inside at once is no honest one."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in self._addresses(host, timeout)[:MAX_ADDRESSES]:
            seconds = self.deadline.left(timeout)
            try:
                stream = self.wire.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, self.deadline)
        raise failure

    def _addresses(self, host: str, timeout: float | None) -> list[Address]:
        addresses = [ip_address(text) for text in self._looked_up(host, timeout)]
        for address in addresses:
            if not self.allows(address):
                raise httpcore.ConnectError(f"{host} has the forbidden address {address}.")
        return addresses

    def _looked_up(self, host: str, timeout: float | None) -> list[str]:
        answer: SimpleQueue[list[str]] = SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self.resolve(host))
            except OSError:
                answer.put([])

        # The system's resolver takes no time-out. A thread that is left behind with it ends by the
        # resolver's own, and as a daemon it doesn't keep the process alive.
        Thread(target=ask, daemon=True).start()
        try:
            return answer.get(timeout=self.deadline.left(timeout))
        except Empty as error:
            raise httpcore.ConnectTimeout(f"No answer about {host} in time.") from error


@dataclass(frozen=True)
class TimedStream(httpcore.NetworkStream):
    """A connection that ends with its fetch's time, however lively it drips."""

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
