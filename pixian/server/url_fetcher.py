"""Requests to a URL that a client supplies, safe against server-side request forgery and endless responses.

``pixian.server.ssrf`` checks every address it connects to, after each redirect too.
"""

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager as Context
from contextlib import nullcontext, suppress
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
"""The usual ports of web servers. With others, a client could make us scan ports or talk to mail servers."""

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST_NAME = re.compile(r"(?=.{1,254}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
HEADERS = [("User-Agent", "pixian-web"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WIRE_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


def is_image(content_type: str) -> bool:
    return content_type.startswith("image/")


@dataclass(frozen=True)
class FetchLimits:
    """Limits on one fetch.

    seconds: deadline for the whole fetch, from the first DNS query to the last byte.
    connect_seconds: time-out of each DNS query, each connection and each TLS handshake.
    """

    max_bytes: int = MAX_UPLOAD_BYTES
    seconds: float = 20
    connect_seconds: float = 5
    redirects: int = 5


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch.

    url: the last one, after all redirects. content_type: in lower case, without parameters. size: in bytes.
    """

    url: str
    content_type: str
    size: int


@dataclass(frozen=True)
class Posted:
    """The response to a POST. body: its first bytes, as far as they came."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Fetcher:
    """Downloads URLs, and posts to them. Safe to share between threads.

    networks: the operator's own networks that are allowed besides public addresses; a client can then reach
    every host in them on every port in ``ports``. admission: a context held during each fetch, to limit
    their number; ``fetch`` raises whatever it raises.
    """

    limits: FetchLimits = FetchLimits()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    resolve: Resolve = resolve_by_system
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))
    wire: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)
    admission: Callable[[], Context[None]] = nullcontext

    def fetch(self, url: str, into: BinaryIO, accept: Callable[[str], bool] = is_image) -> Fetched:
        """Write the content of a URL to ``into``, which may hold a part of it after an error.

        accept: decides on the content type, in lower case and without parameters. Raises Refused 400/1024
        for anything but an http(s) URL with an allowed port, 400/1022 for a forbidden address and for a
        fetch that fails or takes too long, 400/1020 for a status other than 200, 400/1021 for a content type
        that isn't accepted, and 413/1012 for too many bytes.
        """
        hop = self._parse(url)
        with self.admission():
            return self._fetch(hop, into, accept)

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Posted:
        """Send bytes to a URL and return the response, whatever its status; a redirect isn't followed.

        Of the body no more than ``limits.max_bytes`` are read, and none that comes too late. Raises Refused
        400/1024 as ``fetch`` does, and 400/1022 if there is no response.
        """
        target = self._parse(url)
        own = [("Content-Length", str(len(content))), *headers.items()]
        try:
            with (
                self.admission(),
                self._pool() as pool,
                self._request(pool, "POST", target, own, content) as response,
            ):
                return Posted(response.status, self._beginning(response))
        except WIRE_ERRORS as error:
            raise errors.url_failed(self._reason(error)) from error

    def check(self, url: str) -> None:
        """Raise Refused 400/1024 for a URL that no request would be made to, whatever its host's address."""
        self._parse(url)

    def _fetch(self, hop: httpx.URL, into: BinaryIO, accept: Callable[[str], bool]) -> Fetched:
        try:
            with self._pool() as pool:
                for _ in range(self.limits.redirects + 1):
                    with self._request(pool, "GET", hop) as response:
                        headers = httpx.Headers(response.headers)
                        if response.status not in REDIRECTS or "Location" not in headers:
                            content_type = self._check(response.status, headers, accept)
                            return Fetched(str(hop), content_type, self._save(response, into))
                    hop = self._redirect(hop, headers["Location"])
        except WIRE_ERRORS as error:
            raise errors.url_failed(self._reason(error)) from error
        raise errors.url_failed(f"it redirects more than {self.limits.redirects} times")

    def _pool(self) -> httpcore.ConnectionPool:
        """Return a pool for one fetch, whose deadline begins now."""
        wire = GuardedWire(self.wire, self.resolve, self._allows, Deadline(self.limits.seconds))
        return httpcore.ConnectionPool(self.tls, network_backend=wire, max_keepalive_connections=0)

    def _allows(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)

    def _parse(self, text: str | httpx.URL) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise errors.url_unparseable("it isn't a valid URL") from error
        host = url.raw_host.decode("ascii")
        if url.scheme not in DEFAULT_PORTS:
            raise errors.url_unparseable("it must start with http:// or https://")
        if url.userinfo:
            raise errors.url_unparseable("it must not contain a user name or password")
        # httpx has validated a host with a colon as an IPv6 address; a % in it names a network interface.
        if "%" in host or not (":" in host or HOST_NAME.fullmatch(host)):
            raise errors.url_unparseable("its host is neither a valid name nor an IP address")
        if (DEFAULT_PORTS[url.scheme] if url.port is None else url.port) not in self.ports:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise errors.url_unparseable(f"its port must be one of {ports}")
        return url

    def _redirect(self, hop: httpx.URL, location: str) -> httpx.URL:
        try:
            return self._parse(hop.join(location))
        except (errors.Refused, httpx.InvalidURL, ValueError) as error:
            raise errors.url_failed("it redirects to a URL that can't be used") from error

    def _request(
        self,
        pool: httpcore.ConnectionPool,
        method: str,
        url: httpx.URL,
        more: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> Context[httpcore.Response]:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [("Host", url.netloc.decode("ascii")), ("Connection", "close"), *HEADERS, *more]
        timeout = {"connect": self.limits.connect_seconds}
        return pool.stream(method, target, headers=headers, content=content, extensions={"timeout": timeout})

    def _beginning(self, response: httpcore.Response) -> bytes:
        body = b""
        with suppress(*WIRE_ERRORS):  # the status is known by now, and says what became of the request
            for chunk in response.iter_stream():
                body += chunk
                if len(body) >= self.limits.max_bytes:
                    break
        return body[: self.limits.max_bytes]

    def _check(self, status: int, headers: httpx.Headers, accept: Callable[[str], bool]) -> str:
        """Return the content type of a response; raise Refused if its body must not be read."""
        if status != 200:
            raise errors.url_not_200(status)
        content_type: str = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not accept(content_type):
            raise errors.url_not_image(content_type)
        # We asked for none, and a few compressed bytes can expand to any size.
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise errors.url_failed("the response has a Content-Encoding")
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
        # The same text for an unknown name, a forbidden address and a closed port, so that a client can't
        # use it to explore the internal network.
        if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
            return "its host can't be reached"
        if isinstance(error, httpcore.TimeoutException):
            return f"it took longer than {self.limits.seconds:g} seconds"
        return "the response breaks off or isn't HTTP"
