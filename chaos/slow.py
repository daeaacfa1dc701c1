"""E23, slow strangers.

Forty connections of a kind drip into the web process, and are opened again once they are closed. Meanwhile
``/healthz`` and a program's paid call must be answered within two seconds each time, and no connection may
stay open beyond its deadline. The control is gunicorn's gthread worker, which gives a thread to each of them.
"""

import argparse
import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings

from chaos.experiments import Outcome
from chaos.programs import PAUSE_SECONDS, Seen, repeating
from chaos.system import REMOVE, System
from pixian.protocol.credentials import Credentials

DRIP_SECONDS = 0.5
SMALL_WINDOW_BYTES = 4096
SLACK_SECONDS = 3
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
MULTIPART = "Content-Type: multipart/form-data; boundary=drip\r\n"
LENGTH = "Content-Length: 3000000\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Drip:
    """A kind of connection.

    opening: sent at once. drop: sent again and again; if it is b"", a byte is read instead. work: seconds
    that the server itself takes for a crowd of these.
    """

    name: str
    opening: bytes
    drop: bytes = b""
    work: float = 0


@dataclass
class Crowd:
    """Connections of a kind. longest_open: seconds, of any. opened: how often, as the server closes them."""

    port: int
    drip: Drip
    longest_open: float = 0
    opened: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def insist(self, stop: threading.Event) -> None:
        stop.wait(0.01)
        began = time.monotonic()
        with suppress(OSError):
            self._talk(stop)
        with self._lock:
            self.longest_open = max(self.longest_open, time.monotonic() - began)
            self.opened += 1

    def _talk(self, stop: threading.Event) -> None:
        """Return, or raise OSError, when the server has closed the connection."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
            connection.settimeout(DRIP_SECONDS)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(self.drip.opening)
            closed = select.poll()  # what was answered before needn't be read to see it
            closed.register(connection, select.POLLRDHUP)
            while not stop.wait(DRIP_SECONDS) and not closed.poll(0):
                if self.drip.drop:
                    connection.sendall(self.drip.drop)
                else:
                    with suppress(TimeoutError):
                        connection.recv(1)


def run(system: System, options: argparse.Namespace) -> Outcome:
    system.prepare()
    key, other = (system.key(team) for team in system.teams)
    drips = kinds(system, other)
    late = overdue = 0
    with system.serving():
        for drip in drips:
            seen, crowd = play(system, key, drip, options)
            late += seen.late
            overdue += crowd.longest_open > options.patience + SLACK_SECONDS + drip.work
    with system.serving("--worker-class", "gthread"):
        control, _ = play(system, key, drips[0], options)
    facts: dict[str, object] = {"kinds": len(drips), "late": late, "overdue": overdue}
    found = [f"{late} responses were late, {overdue} kinds overdue"] if late or overdue else []
    return Outcome(found, {"control": control.late}, facts)


def kinds(system: System, key: Credentials) -> list[Drip]:
    """Return all kinds; first those of strangers, and last the one that leaves work behind."""
    cookies = system.browser().cookies
    csrf, session = (f"{n}={cookies[n]}" for n in (settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_NAME))
    auth = f"Authorization: {key.authorization}\r\n"
    upload = f"/t/{system.teams[0].slug}/upload/"
    disposition = b'Content-Disposition: form-data; name="image"; filename="a.png"'
    form = b"--drip\r\n" + disposition + b"\r\n\r\n" + system.picture() + b"\r\n--drip--\r\n"
    whole = f"Content-Length: {len(form)}\r\n"

    def head(method: str, path: str, *headers: str) -> bytes:
        host = system.address.removeprefix("http://")
        return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{''.join(headers)}\r\n".encode()

    return [
        Drip("headers", head("POST", REMOVE).removesuffix(b"\r\n"), b"X: y\r\n"),
        Drip("body", head("POST", REMOVE, FORM, LENGTH), b"x"),
        Drip("chunks", head("POST", REMOVE, FORM, CHUNKED), b"1\r\nx\r\n"),
        Drip("nowhere", head("POST", "/api/v2/nowhere", FORM, LENGTH), b"x"),
        Drip("login", head("POST", "/accounts/login/", FORM, LENGTH, f"Cookie: {csrf}\r\n"), b"x"),
        Drip("upload", head("POST", upload, MULTIPART, LENGTH, f"Cookie: {csrf}; {session}\r\n"), b"x"),
        Drip("call", head("POST", REMOVE, auth, MULTIPART, LENGTH), b"x"),
        Drip("idle", head("GET", "/healthz")),
        Drip("result", head("POST", REMOVE, auth, MULTIPART, whole) + form, work=10),
    ]


def play(system: System, key: Credentials, drip: Drip, options: argparse.Namespace) -> tuple[Seen, Crowd]:
    """Let a crowd drip, and ask a probe and a paid call in turns, each by a connection of its own."""
    crowd, seen = Crowd(int(system.address.rpartition(":")[2]), drip), Seen(system, options.within)
    files = {"image": ("a.png", system.picture())}
    with repeating(options.connections, crowd.insist):
        time.sleep(min(5, options.seconds / 4))
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            seen.ask("GET", "/healthz")
            seen.ask("POST", REMOVE, key, files=files)
            time.sleep(PAUSE_SECONDS)
    seen.report(f"{drip.name}: longest open {crowd.longest_open:.1f} s, {crowd.opened} opened")
    return seen, crowd
