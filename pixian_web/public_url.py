"""Parse ``PUBLIC_URL``, the site's address as users type it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import idna

DEFAULT_PORTS = {"http": 80, "https": 443}
# The characters that Django accepts in a request's Host header.
HOST = re.compile(r"[a-z0-9.-]+")
EXAMPLE = "it must be like https://cutouts.example.org"


@dataclass(frozen=True)
class PublicUrl:
    """Scheme, host and port as browsers send them.

    host: an international name in its ASCII form; an IPv6 address in brackets.
    """

    scheme: str
    host: str
    port: int | None

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def effective_port(self) -> int:
        return self.port or DEFAULT_PORTS[self.scheme]

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def parse(text: str) -> PublicUrl:
    """Parse a public URL; raises ValueError, which says what is wrong with it."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"PUBLIC_URL is {text!r}; {EXAMPLE} ({error})") from error
    if parts.scheme not in DEFAULT_PORTS or not host or parts.username is not None:
        raise ValueError(f"PUBLIC_URL is {text!r}; {EXAMPLE}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"PUBLIC_URL is {text!r}, and no page can live below a path: give it a host of its own"
        )
    return PublicUrl(parts.scheme, _ascii(host, text), None if port == DEFAULT_PORTS[parts.scheme] else port)


def _ascii(host: str, text: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return f"[{address}]" if address.version == 6 else str(address)
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"PUBLIC_URL is {text!r}, whose host is no DNS name: {error}") from error
    if not HOST.fullmatch(name):
        raise ValueError(f"PUBLIC_URL is {text!r}, whose host isn't made of letters, digits, - and .")
    return name
