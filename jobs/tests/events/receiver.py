"""A receiver of webhooks on this machine, which notes what came and answers as it is told."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

from accounts.models import Team, User
from jobs.events import subscriptions, webhooks
from jobs.models import EventKind, Webhook
from pixian.server.url_fetcher import Fetcher, FetchLimits

EVERYTHING = [kind.value for kind in EventKind]
HERE = ip_network("127.0.0.0/8")


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def is_signed_by(self, secret: str) -> bool:
        """Verify the signature as Standard Webhooks says."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split()


@dataclass
class Receiver:
    """answers: the status for each request in turn, the last one for all others. slow: seconds by path."""

    port: int = 0
    answers: list[int] = field(default_factory=lambda: [200])
    slow: dict[str, float] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    before_answer: Callable[[Received], object] = lambda _: None

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def hook(self, team: Team, user: User, path: str = "/", events: list[str] = EVERYTHING) -> Webhook:
        return subscriptions.add(team, user, self.url(path), events)[0]

    def answer(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def receiving(monkeypatch: Any, seconds: float = 5) -> Iterator[Receiver]:
    """Run a receiver, and let this process's webhooks reach it."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.path, headers, body)
            receiver.received.append(request)
            receiver.before_answer(request)
            time.sleep(receiver.slow.get(self.path, 0))
            self.send_response(receiver.answer())
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"<b>thanks</b>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        limits = FetchLimits(max_bytes=2000, seconds=seconds)
        fetcher = Fetcher(limits, networks=(HERE,), ports=frozenset({receiver.port}))
        monkeypatch.setattr(webhooks, "fetcher", lambda: fetcher)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield receiver
        server.shutdown()
