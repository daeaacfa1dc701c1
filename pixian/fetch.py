"""The one way to a URL that a stranger gave us.

A name is resolved once, every address it has is checked, and the connection goes to one of those that
were checked. So neither the spelling of an address nor a name server that changes its mind gets past.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager as Context
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

import httpcore
import httpx

from pixian import errors
from pixian.limits import MAX_UPLOAD_BYTES

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], list[str]]

PORTS = frozenset({80, 443, 8080, 8443})
"""Where web servers listen. With any other, a stranger could have us scan hosts and talk to mail servers."""

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST_NAME = re.compile(r"(?=.{1,254}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
HEADERS = [("User-Agent", "pixian-web"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_ADDRESSES = 4
WIRE_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)

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


def is_image(content_type: str) -> bool:
    return content_type.startswith("image/")


def resolve_by_system(host: str) -> list[str]:
    """Every address the host has, the one to prefer first; raises OSError where it has none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class FetchLimits:
    """``seconds`` is a deadline for the whole fetch: names, redirects and the last byte.
    ``connect_seconds`` bounds each look-up of a name, each connection and each TLS handshake."""

    max_bytes: int = MAX_UPLOAD_BYTES
    seconds: float = 20
    connect_seconds: float = 5
    redirects: int = 5


@dataclass(frozen=True)
class Fetched:
    """``url`` is where the redirects ended, ``content_type`` is as ``accept`` saw it, ``size`` in bytes."""

    url: str
    content_type: str
    size: int


@dataclass(frozen=True)
class Fetcher:
    """Safe to share between threads.

    ``networks`` are an operator's own that may be reached besides public addresses. Whoever can have a
    URL fetched then reaches every host in them, on each of ``ports``.
    """

    limits: FetchLimits = FetchLimits()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    resolve: Resolve = resolve_by_system
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))
    wire: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)

    def fetch(self, url: str, into: BinaryIO, accept: Callable[[str], bool] = is_image) -> Fetched:
        """Write what the URL holds to ``into``; after an error that has a part of it or nothing.

        ``accept`` judges the content type, in lower case and without parameters. Raises Refused
        400/1024 for what isn't a web address on one of the ports, 400/1022 for a forbidden address and
        for a fetch that fails or takes too long, 400/1020 for an answer other than 200, 400/1021 for a
        content type that isn't accepted, and 413/1012 for too many bytes.
        """
        hop = self._parsed(url)
        wire = GuardedWire(self.wire, self.resolve, self._allows, Deadline(self.limits.seconds))
        pool = httpcore.ConnectionPool(self.tls, network_backend=wire, max_keepalive_connections=0)
        try:
            with pool:
                for _ in range(self.limits.redirects + 1):
                    with self._get(pool, hop) as response:
                        headers = httpx.Headers(response.headers)
                        if response.status not in REDIRECTS or "Location" not in headers:
                            content_type = self._checked(response.status, headers, accept)
                            return Fetched(str(hop), content_type, self._save(response, into))
                    hop = self._redirected(hop, headers["Location"])
        except WIRE_ERRORS as error:
            raise errors.url_failed(self._reason(error)) from error
        raise errors.url_failed(f"it redirects more than {self.limits.redirects} times")

    def _allows(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)

    def _parsed(self, text: str | httpx.URL) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise errors.url_unparseable("it can't be parsed") from error
        host = url.raw_host.decode("ascii")
        if url.scheme not in DEFAULT_PORTS:
            raise errors.url_unparseable("it must start with http:// or https://")
        if url.userinfo:
            raise errors.url_unparseable("it must not carry a user name or password")
        # What has a colon was parsed as an IPv6 address by httpx; a % in it names a network interface.
        if "%" in host or not (":" in host or HOST_NAME.fullmatch(host)):
            raise errors.url_unparseable("its host is neither a name nor an address")
        if (DEFAULT_PORTS[url.scheme] if url.port is None else url.port) not in self.ports:
            raise errors.url_unparseable(f"its port must be one of {sorted(self.ports)}")
        return url

    def _redirected(self, hop: httpx.URL, location: str) -> httpx.URL:
        try:
            return self._parsed(hop.join(location))
        except (errors.Refused, httpx.InvalidURL, ValueError) as error:
            raise errors.url_failed("it redirects to what can't be used") from error

    def _get(self, pool: httpcore.ConnectionPool, url: httpx.URL) -> Context[httpcore.Response]:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [("Host", url.netloc.decode("ascii")), ("Connection", "close"), *HEADERS]
        timeout = {"connect": self.limits.connect_seconds}
        return pool.stream("GET", target, headers=headers, extensions={"timeout": timeout})

    def _checked(self, status: int, headers: httpx.Headers, accept: Callable[[str], bool]) -> str:
        """The content type of an answer whose body may be read."""
        if status != 200:
            raise errors.url_not_200(status)
        content_type: str = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not accept(content_type):
            raise errors.url_not_image(content_type)
        # Nobody asked for one, and a few bytes may unpack to any number.
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise errors.url_failed("it answers with a content encoding")
        self._check_size(int(headers.get("Content-Length", 0)))
        return content_type

    def _save(self, response: httpcore.Response, into: BinaryIO) -> int:
        size = 0
        for chunk in response.iter_stream():
            size += len(chunk)
            self._check_size(size)
            into.write(chunk)
        return size

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise errors.url_too_large(self.limits.max_bytes)

    def _reason(self, error: Exception) -> str:
        # One text for an unknown name, a forbidden address and a closed port: a stranger isn't told
        # what there is on the inside.
        if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
            return "its host can't be reached"
        if isinstance(error, httpcore.TimeoutException):
            return f"it takes longer than {self.limits.seconds:g} seconds"
        return "the answer breaks off or isn't HTTP"


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
