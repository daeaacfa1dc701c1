"""The guarded fetcher against real servers: a small internet, and a canary wherever it must not go."""

import gzip
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import takewhile
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, BinaryIO

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from pixian.protocol.errors import Code, Refused
from pixian.server.ssrf import MAX_ADDRESSES, NOT_PUBLIC, is_public, resolve_by_system
from pixian.server.url_fetcher import REDIRECTS, Fetched, Fetcher, FetchLimits

PUBLIC, PUBLIC_TOO, PUBLIC_6 = "93.184.215.14", "93.184.215.15", "2606:2800:21f::14"
CLOSED = ["93.184.215.90", "93.184.215.91", "93.184.215.92", "93.184.215.93", "93.184.215.94"]
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LIMITS = FetchLimits(max_bytes=100_000, seconds=10, connect_seconds=5)
HURRIED = FetchLimits(seconds=0.5)
IMPATIENT = FetchLimits(connect_seconds=0.1)
LONG_BEFORE_A_DRIP_ENDS = 5
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

NAMES = {
    "pictures.example": [PUBLIC],
    "other.example": [PUBLIC_TOO],
    "six.example": [PUBLIC_6],
    "closed.example": CLOSED,
    "localhost": ["::1", "127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "inside.example": ["10.0.0.7"],
    "scoped.example": ["fe80::1%lo"],
}

FORBIDDEN = """
    127.0.0.1 127.1 127.255.255.254 2130706433 017700000001 0177.1 0x7f.1 0x7f000001 0X7F.0.1 127。0。0。1 0
    0.0.0.0 10.0.0.1 10.1 172.16.0.1 172.31.255.254 192.168.0.1 169.254.169.254 2852039166 100.64.0.1
    100.100.100.200 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16 [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1]
    [::ffff:7f00:1] [::ffff:8.8.8.8] [::ffff:0:127.0.0.1] [::127.0.0.1] [64:ff9b::7f00:1]
    [64:ff9b::10.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:808:808::] [2001:0:7f00:1::]
    [2001::80ff:fffe] [fe80::1] [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1] [ff0e::1] [2001:2::1]
    [2001:db8::1] [3fff::1] [100::1] [5f00::1] [4000::1] localhost LOCALHOST localhost. inside.example
    scoped.example
"""

UNUSABLE = """
    http://0177.0.0.1/ http://127.0.0.256/ http://１２７.０.０.１/ http://①②⑦.⓪.⓪.①/ http://[::1%25lo]/
    http://[::1 http://127.0.0.1%2f@pictures.example/ http://pictures.example@127.0.0.1/
    http://u:p@pictures.example/ http://127.0.0.1\\@pictures.example/ http://127.0.0.%31/ http://..example/
    http://pictures..example/ http:///x http:x x //pictures.example/ file:///etc/passwd
    ftp://pictures.example/ gopher://localhost/ data:image/png;base64,AA== http+unix://%2ftmp%2fs/
    javascript:0 http://pictures.example:22/ http://pictures.example:0/ http://pictures.example:65616/
    http://pictures.example:-80/
"""

REDIRECTED_TO = """
    http://127.0.0.1/ //localhost:8080/ https://[::1]/ http://2130706433/ http://inside.example/
    http://u:p@pictures.example/ http://pictures.example:22/ file:///etc/passwd ftp://pictures.example/
    data:image/png;base64,AA== http://１２７.０.０.１/ http://[::1
"""

Write = Callable[[bytes], object]
Answer = bytes | Callable[[Write], None]


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    headers = {"Content-Type": "image/png", "Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items() if value)]
    return "\r\n".join([*head, "", ""]).encode() + body


def moved(location: str, status: int = 302) -> bytes:
    return answer(status=f"{status} Moved", Location=location, Set_Cookie="a=b; Path=/")


def endless(write: Write) -> None:
    write(answer(Content_Length=""))
    while True:
        write(bytes(50_000))


def drip(begin: bytes, drop: bytes) -> Callable[[Write], None]:
    def write_slowly(write: Write) -> None:
        write(begin)
        for _ in range(1500):
            time.sleep(0.02)
            write(drop)

    return write_slowly


class Site(ThreadingTCPServer):
    """A web server on a free port of this machine. ``heads`` are the requests it got, line by line."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, answers: dict[str, Answer], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.answers = answers
        self.tls = tls
        self.port = int(self.server_address[1])
        self.heads: list[list[str]] = []
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def visits(self) -> int:
        """Connections so far. Ours is the last in the queue, so that none before it is missed."""
        httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False, verify=NO_TLS)
        self.connections -= 1
        return self.connections


class Visit(StreamRequestHandler):
    server: Site

    def handle(self) -> None:
        # The fetcher hangs up on much of what is served here, as it should.
        with suppress(OSError):
            if self.server.tls:
                with self.server.tls.wrap_socket(self.request, server_side=True) as secured:
                    self.answer(secured)
            else:
                self.answer(self.request)

    def answer(self, wire: socket.socket) -> None:
        with wire.makefile("rb") as file:
            lines = takewhile(b"\r\n".__ne__, iter(file.readline, b""))
            head = [line.decode("latin-1").strip() for line in lines]
        self.server.heads.append(head)
        path = head[0].split()[1].strip("/")
        given = self.server.answers.get(path, answer(status="404 Not Found"))
        if callable(given):
            given(wire.sendall)
        else:
            wire.sendall(given)


class Internet(httpcore.NetworkBackend):
    """Takes some addresses to servers of this machine, and every other one to the canary."""

    def __init__(self, ports: dict[str, int], canary: int) -> None:
        self.ports = ports
        self.canary = canary
        self.dialled: list[str] = []

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any) -> Any:
        self.dialled.append(f"{ip_address(host)} {port}")
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.ports.get(host, self.canary), timeout)


def lookup(host: str) -> list[str]:
    """Names from the table, numbers as the system reads them, and no question to any network."""
    if host.lower() in NAMES:
        return NAMES[host.lower()]
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(info[4][0]) for info in found]


@contextmanager
def serving(answers: dict[str, Answer], tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    with Site(answers, tls) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


class World:
    """A public site, a canary inside, and a fetcher that can reach both."""

    def __init__(self, site: Site, canary: Site, closed: int) -> None:
        self.site = site
        self.canary = canary
        ports = dict.fromkeys([PUBLIC, PUBLIC_TOO, PUBLIC_6], site.port) | dict.fromkeys(CLOSED, closed)
        self.internet = Internet(ports, canary.port)

    def fetch(
        self, url: str, into: BinaryIO | None = None, limits: FetchLimits = LIMITS, **given: Any
    ) -> Fetched:
        rules: dict[str, Any] = {"resolve": lookup, "tls": NO_TLS, "wire": self.internet} | given
        return Fetcher(limits, **rules).fetch(url, into or io.BytesIO())

    def refusal(self, url: str, limits: FetchLimits = LIMITS, **given: Any) -> Refused:
        """The error, after seeing that nobody came to the canary."""
        with pytest.raises(Refused) as caught:
            self.fetch(url, limits=limits, **given)
        assert self.canary.visits() == 0
        assert not [to for to in self.internet.dialled if to.split()[0] not in self.internet.ports]
        return caught.value


@pytest.fixture
def world() -> Iterator[World]:
    with serving({}) as site, serving({"": answer(b"secret")}) as canary, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield World(site, canary, closed.getsockname()[1])


def test_a_picture_is_fetched(world: World) -> None:
    world.site.answers["a.png?b=c"] = answer(b"png", Content_Type="Image/PNG; charset=x")
    into = io.BytesIO()
    fetched = world.fetch("http://pictures.example/a.png?b=c#d", into)
    assert fetched == Fetched("http://pictures.example/a.png?b=c#d", "image/png", 3)
    assert into.getvalue() == b"png"
    assert world.internet.dialled == [f"{PUBLIC} 80"]
    assert world.site.heads == [
        [
            "GET /a.png?b=c HTTP/1.1",
            "Host: pictures.example",
            "Connection: close",
            "User-Agent: pixian-web",
            "Accept: */*",
            "Accept-Encoding: identity",
        ]
    ]


@pytest.mark.parametrize(
    ("url", "host", "dialled"),
    [
        (f"http://{PUBLIC}/a", PUBLIC, f"{PUBLIC} 80"),
        (f"HTTP://[{PUBLIC_6}]:8080/a", f"[{PUBLIC_6}]:8080", f"{PUBLIC_6} 8080"),
        ("http://six.example:8443/a", "six.example:8443", f"{PUBLIC_6} 8443"),
        ("http://PICTURES.example:80/a", "pictures.example", f"{PUBLIC} 80"),
    ],
)
def test_an_address_may_be_written_in_many_ways(world: World, url: str, host: str, dialled: str) -> None:
    world.site.answers["a"] = answer(b"png")
    assert world.fetch(url).size == 3
    assert f"Host: {host}" in world.site.heads[0]
    assert world.internet.dialled == [dialled]


@pytest.mark.parametrize("host", FORBIDDEN.split())
def test_what_is_not_public_is_never_dialled(world: World, host: str) -> None:
    assert world.refusal(f"http://{host}/").code == Code.URL_FAILED


@pytest.mark.parametrize("host", FORBIDDEN.split())
def test_without_the_rule_each_of_them_is_reached(world: World, host: str) -> None:
    """The control: the canary sings."""
    into = io.BytesIO()
    world.fetch(f"http://{host}/", into, networks=EVERYTHING)
    assert into.getvalue() == b"secret"
    assert world.canary.visits() == 1


@pytest.mark.parametrize(
    "url", [*UNUSABLE.split(), "", " ", "http://a b/", "http://a\n/", f"http://{'a' * 70000}/"]
)
def test_what_is_no_web_address_is_unparseable(world: World, url: str) -> None:
    assert world.refusal(url, resolve=lambda _: ["127.0.0.1"]).code == Code.URL_UNPARSEABLE


@pytest.mark.parametrize("addresses", [[PUBLIC, "10.0.0.7"], ["10.0.0.7", PUBLIC], [PUBLIC, "::1"]])
def test_a_name_that_is_also_inside_is_refused(world: World, addresses: list[str]) -> None:
    assert world.refusal("http://mixed.example/", resolve=lambda _: addresses).code == Code.URL_FAILED
    assert world.internet.dialled == []


def test_a_name_that_changes_its_address_is_asked_once(world: World) -> None:
    world.site.answers[""] = answer(b"png")
    asked = iter([[PUBLIC], ["127.0.0.1"]])
    assert world.fetch("http://rebind.example/", resolve=lambda _: next(asked)).size == 3
    assert world.internet.dialled == [f"{PUBLIC} 80"]
    assert (next(asked), world.canary.visits()) == (["127.0.0.1"], 0)


def test_resolving_and_then_fetching_would_be_fooled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same name server against a check that stands beside the fetch."""
    answers = iter([PUBLIC, "127.0.0.1"])

    def turncoat(_host: object, port: object, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", turncoat)
    assert all(is_public(ip_address(address)) for address in resolve_by_system("rebind.example"))
    url = f"http://rebind.example:{world.canary.port}/"
    assert httpx.get(url, trust_env=False).content == b"secret"
    monkeypatch.undo()
    assert world.canary.visits() == 1


def test_a_name_that_changes_between_two_hops_is_checked_again(world: World) -> None:
    world.site.answers[""] = moved("/again")
    asked = iter([[PUBLIC], ["127.0.0.1"]])
    assert world.refusal("http://rebind.example/", resolve=lambda _: next(asked)).code == Code.URL_FAILED
    assert world.internet.dialled == [f"{PUBLIC} 80"]


@pytest.mark.parametrize("status", sorted(REDIRECTS))
def test_a_redirect_is_followed_and_told_nothing(world: World, status: int) -> None:
    world.site.answers |= {"a": moved("b?c", status), "b?c": moved("//other.example/d"), "d": answer(b"png")}
    assert world.fetch("http://pictures.example/a").url == "http://other.example/d"
    assert world.internet.dialled == [f"{PUBLIC} 80", f"{PUBLIC} 80", f"{PUBLIC_TOO} 80"]
    names = {line.partition(":")[0].lower() for head in world.site.heads for line in head[1:]}
    assert names == {"host", "connection", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize("hops", [0, 2, LIMITS.redirects - 1])
@pytest.mark.parametrize("target", REDIRECTED_TO.split())
def test_every_redirect_is_checked(world: World, hops: int, target: str) -> None:
    world.site.answers |= {f"{hop}": moved(f"/{hop + 1}") for hop in range(hops)}
    world.site.answers[f"{hops}"] = moved(target)
    assert world.refusal("http://pictures.example/0").code == Code.URL_FAILED
    assert len(world.site.heads) == hops + 1


def test_redirects_are_counted(world: World) -> None:
    world.site.answers["a"] = moved("/a")
    error = world.refusal("http://pictures.example/a")
    assert (error.code, len(world.site.heads)) == (Code.URL_FAILED, 1 + LIMITS.redirects)
    assert "redirects more than 5 times" in error.message


def test_the_inside_is_not_told_apart_from_nothing(world: World) -> None:
    hosts = ["inside.example", "10.0.0.1", "[::1]", "unknown.example", "closed.example"]
    assert len({str(world.refusal(f"http://{host}/")) for host in hosts}) == 1


def test_the_next_address_is_tried_where_one_is_closed(world: World) -> None:
    world.site.answers[""] = answer(b"png")
    assert world.fetch("http://half.example/", resolve=lambda _: [CLOSED[0], PUBLIC]).size == 3
    world.internet.dialled.clear()
    world.refusal("http://closed.example/")
    assert len(world.internet.dialled) == MAX_ADDRESSES < len(CLOSED)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(status="404 Not Found"), Code.URL_NOT_200),
        (answer(b"png", status="206 Partial Content"), Code.URL_NOT_200),
        (answer(status="302 Found"), Code.URL_NOT_200),
        (answer(status="101 Switching Protocols"), Code.URL_FAILED),
        (answer(b"<p>", Content_Type="text/html"), Code.URL_NOT_IMAGE),
        (answer(b"png", Content_Type=""), Code.URL_NOT_IMAGE),
        (answer(gzip.compress(bytes(10_000_000), mtime=0), Content_Encoding="gzip"), Code.URL_FAILED),
        (answer(b"png", Content_Encoding="identity, br"), Code.URL_FAILED),
        (answer(b"png", Transfer_Encoding="gzip"), Code.URL_FAILED),
        (answer(b"png", Content_Length="4"), Code.URL_FAILED),
        (answer(b"5\r\npng", Transfer_Encoding="chunked"), Code.URL_FAILED),
        (answer(b"png", Content_Length="-3"), Code.URL_FAILED),
        (answer(Content_Length="9" * 20), Code.TOO_MANY_BYTES),
        (answer(Content_Length="9" * 5000), Code.URL_FAILED),
        (answer(b"png", Content_Length="3, 4"), Code.URL_FAILED),
        (answer(X_Long="x" * 200_000), Code.URL_FAILED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Code.URL_FAILED),
        (b"", Code.URL_FAILED),
    ],
    ids=lambda value: str(value)[:80],
)
def test_an_answer_that_is_no_picture(world: World, given: bytes, code: Code) -> None:
    world.site.answers[""] = given
    assert world.refusal("http://pictures.example/").code == code


def test_the_caller_says_what_is_accepted(world: World) -> None:
    world.site.answers[""] = answer(b"{}", Content_Type="application/json")
    fetcher = Fetcher(resolve=lookup, tls=NO_TLS, wire=world.internet)
    assert fetcher.fetch("http://pictures.example/", io.BytesIO(), "application/json".__eq__).size == 2


def test_a_file_may_have_as_many_bytes_as_the_limit(world: World) -> None:
    world.site.answers[""] = answer(bytes(LIMITS.max_bytes))
    assert world.fetch("http://pictures.example/").size == LIMITS.max_bytes


def test_a_file_that_says_it_is_larger_is_not_read(world: World) -> None:
    world.site.answers[""] = answer(b"png", Content_Length=f"{LIMITS.max_bytes + 1}")
    into = io.BytesIO()
    error = world.refusal("http://pictures.example/", into=into)
    assert (error.status, error.code) == (413, Code.TOO_MANY_BYTES)
    assert into.getvalue() == b""


def test_an_endless_file_is_cut_off(world: World) -> None:
    world.site.answers[""] = endless
    into = io.BytesIO()
    assert world.refusal("http://pictures.example/", into=into).code == Code.TOO_MANY_BYTES
    assert len(into.getvalue()) <= LIMITS.max_bytes


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (answer(Content_Length="9999"), b"x"),
        (answer(Content_Length="", Transfer_Encoding="chunked"), b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b""),
    ],
    ids=["body", "chunks", "headers", "informational", "silence"],
)
def test_a_drip_does_not_outlive_the_deadline(world: World, begin: bytes, drop: bytes) -> None:
    world.site.answers[""] = drip(begin, drop)
    started = time.monotonic()
    error = world.refusal("http://pictures.example/", HURRIED)
    assert time.monotonic() - started < LONG_BEFORE_A_DRIP_ENDS
    assert (error.code, "longer than 0.5 seconds" in error.message) == (Code.URL_FAILED, True)


def test_slow_redirects_share_one_deadline(world: World) -> None:
    world.site.answers[""] = drip(b"", moved("/"))
    limits = replace(HURRIED, redirects=1000)
    assert "longer than 0.5 seconds" in world.refusal("http://pictures.example/", limits).message


def test_a_silent_name_server_and_a_silent_handshake_are_given_up(world: World) -> None:
    world.site.answers[""] = drip(b"", b"")
    over = threading.Event()

    def silence(_host: str) -> list[str]:
        over.wait(30)
        return []

    started = time.monotonic()
    assert "can't be reached" in world.refusal("http://silent.example/", IMPATIENT, resolve=silence).message
    assert "can't be reached" in world.refusal("https://pictures.example/", IMPATIENT).message
    assert time.monotonic() - started < LONG_BEFORE_A_DRIP_ENDS
    over.set()


def test_a_full_disk_is_not_the_addresss_fault(world: World) -> None:
    world.site.answers[""] = answer(b"png")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        world.fetch("http://pictures.example/", full)


def test_an_operators_network_may_be_reached(world: World) -> None:
    """Over the wire as it is, and nothing else inside with it."""
    world.site.answers[""] = answer(b"png")
    own = Fetcher(networks=(ip_network("127.0.0.1"),), ports=frozenset({world.site.port}), tls=NO_TLS)
    assert own.fetch(f"http://127.0.0.1:{world.site.port}/", io.BytesIO()).size == 3
    for host in ("127.0.0.2", "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(Refused, match="can't be reached"):
            own.fetch(f"http://{host}:{world.site.port}/", io.BytesIO())


def test_tls_is_the_names_business(world: World, tmp_path: Path) -> None:
    """The connection goes to an address; what is asked for and verified is the name."""
    server, client = certified(tmp_path, "pictures.example")
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving({"": answer(b"png")}, server) as site:
        world.internet.ports |= dict.fromkeys([PUBLIC, PUBLIC_TOO], site.port)
        assert world.fetch("https://pictures.example/", tls=client).size == 3
        for host in ("other.example", PUBLIC):
            assert "can't be reached" in world.refusal(f"https://{host}/", tls=client).message
        stranger = httpx.create_ssl_context(trust_env=False)
        world.refusal("https://pictures.example/", tls=stranger)
    assert asked == ["pictures.example", "other.example", None, "pictures.example"]
    assert len(site.heads) == 1
    assert world.internet.dialled[0] == f"{PUBLIC} 443"


def test_a_drip_under_tls_does_not_outlive_the_deadline(world: World, tmp_path: Path) -> None:
    server, client = certified(tmp_path, "pictures.example")
    with serving({"": drip(answer(Content_Length="9999"), b"x")}, server) as site:
        world.internet.ports[PUBLIC] = site.port
        started = time.monotonic()
        assert "longer than" in world.refusal("https://pictures.example/", HURRIED, tls=client).message
        assert time.monotonic() - started < LONG_BEFORE_A_DRIP_ENDS


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for the name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


@pytest.mark.parametrize("network", NOT_PUBLIC, ids=str)
def test_special_networks_end_where_they_end(network: IPv4Network | IPv6Network) -> None:
    assert not is_public(network[0])
    assert not is_public(network[-1])


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_6, "8.8.8.8", "172.32.0.1", "2001:200::1", "11.0.0.0"])
def test_the_rest_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_special(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not is_public(address)


@example("http://a.example/\ud800")
@given(st.text() | st.text().map("http://{}/".format))
def test_no_text_gets_past_the_parser(url: str) -> None:
    fetcher = Fetcher(resolve=lambda _: [], tls=NO_TLS)
    with pytest.raises(Refused) as caught:
        fetcher.fetch(url, io.BytesIO())
    assert caught.value.code in (Code.URL_UNPARSEABLE, Code.URL_FAILED)


@given(st.sampled_from([b"", answer(Content_Length=""), moved("/"), moved("")]), st.binary())
@example(b"HTTP/1.1 302 Found\r\nLocation: ", b"\xed\xa0\x80\r\n\r\n")
def test_no_answer_raises_anything_else(begin: bytes, rest: bytes) -> None:
    wire = httpcore.MockBackend([begin[: len(begin) - len(rest)] + rest, begin + rest])
    fetcher = Fetcher(LIMITS, resolve=lambda _: [PUBLIC], tls=NO_TLS, wire=wire)
    with suppress(Refused):
        fetcher.fetch("http://pictures.example/", io.BytesIO())
