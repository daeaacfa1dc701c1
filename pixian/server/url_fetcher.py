"""The one way to a URL that a stranger gave us.

A name is resolved once, every address it has is checked, and the connection goes to one of those that
were checked. So neither the spelling of an address nor a name server that changes its mind gets past.
"""

import re
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager as Context
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import BinaryIO

import httpcore
import httpx

from pixian.protocol import errors
from pixian.protocol.limits import MAX_UPLOAD_BYTES
from pixian.server.ssrf import (
    Address,
    Deadline,
    GuardedWire,
    Network,
    Resolve,
    is_public,
    resolve_by_system,
)

PORTS = frozenset({80, 443, 8080, 8443})
"""Where web servers listen. With any other, a stranger could have us scan hosts and talk to mail servers."""

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST_NAME = re.compile(r"(?=.{1,254}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
HEADERS = [("User-Agent", "pixian-web"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WIRE_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


def is_image(content_type: str) -> bool:
    return content_type.startswith("image/")


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
    URL fetched then reaches every host in them, on each of ``ports``. ``admission`` is held during each
    fetch and bounds how many there are at once; what it raises, ``fetch`` raises.
    """

    limits: FetchLimits = FetchLimits()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    resolve: Resolve = resolve_by_system
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))
    wire: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)
    admission: Callable[[], Context[None]] = nullcontext

    def fetch(self, url: str, into: BinaryIO, accept: Callable[[str], bool] = is_image) -> Fetched:
        """Write what the URL holds to ``into``; after an error that has a part of it or nothing.

        ``accept`` judges the content type, in lower case and without parameters. Raises Refused
        400/1024 for what isn't a web address on one of the ports, 400/1022 for a forbidden address and
        for a fetch that fails or takes too long, 400/1020 for an answer other than 200, 400/1021 for a
        content type that isn't accepted, and 413/1012 for too many bytes.
        """
        hop = self._parsed(url)
        with self.admission():
            return self._fetch(hop, into, accept)

    def _fetch(self, hop: httpx.URL, into: BinaryIO, accept: Callable[[str], bool]) -> Fetched:
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
