"""A real HTTP server on loopback that answers as a test tells it, and keeps its own log of charges."""

import io
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone
from PIL import Image

from jobs.calls.upstream import Upstream
from jobs.models import Job
from jobs.queue import claims
from jobs.worker.run import process
from pixian.client.backoff import Backoff
from pixian.client.client import Client
from pixian.protocol.credentials import Credentials

CREDENTIALS = Credentials("px0123456789abc", "0" * 52)
Step = Callable[["Handler"], None]


def picture(colour: str) -> bytes:
    """A small one, to be told from others."""
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "JPEG")
    return file.getvalue()


CUT_OUT = picture("green")


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls += 1
        step = self.server.script.popleft() if self.server.script else self.server.otherwise
        step(self)

    def do_GET(self) -> None:
        """The account."""
        self.server.account_calls += 1
        body = self.server.account_body
        self.send_response(self.server.account_status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass

    def hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(2)


class Server(ThreadingHTTPServer):
    """``script`` holds the next answers; when it is empty, every call is answered ``otherwise``: succeeds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: deque[Step] = deque()
        self.otherwise: Step = answer()
        self.calls = 0
        self.account_calls = 0
        self.account_status = 200
        self.account_body = b'{"credits": 100.000000, "creditPack": "none", "state": "active"}'
        self.charged: list[str] = []
        self.bodies: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def upstream(self) -> Upstream:
        return Upstream(Client(self.url, CREDENTIALS, idle_timeout=2), charges=True)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(
    body: bytes = CUT_OUT, charged: str | None = "1.000000", cut: bool = False, kind: str = "image/png"
) -> Step:
    """200 with a charge; ``cut``: the body breaks off half-way."""

    def step(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        if charged is not None:
            handler.send_header("X-Credits-Charged", charged)
            handler.server.charged.append(charged)
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            handler.hang_up()

    return step


def error(status: int, code: int = 0, message: str = "", **headers: str) -> Step:
    """An error in the contract's envelope, or as plain text without a code."""

    def step(handler: Handler) -> None:
        envelope = {"error": {"status": status, "code": code, "message": message}}
        body = json.dumps(envelope).encode() if code else b"<h1>Internal error</h1>"
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return step


def no_answer(handler: Handler) -> None:
    """The request was read whole, and the line is cut."""
    handler.hang_up()


def run(server: Server, backoff: Backoff | None = None, charges: bool = True) -> tuple[Job, int]:
    """Claim the one job there is, due or not, and process it once."""
    Job.objects.unfinished().update(run_after=timezone.now(), lease_until=timezone.now() - timedelta(1))
    job = claims.claim("test")
    assert job
    upstream = server.upstream
    wait = process(job, Upstream(upstream.client, charges=charges), backoff or Backoff())
    job.refresh_from_db()
    return job, wait
