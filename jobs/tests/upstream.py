"""The fault-injecting upstream in a thread of the test's own: it answers as a script says."""

import asyncio
import io
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.utils import timezone
from PIL import Image

from chaos.upstream import KNOWN
from chaos.upstream.faults import Body, Fault, Sends, Then
from chaos.upstream.journal import Charge, Journal, read_log
from chaos.upstream.running import in_thread
from chaos.upstream.server import Settings, Upload
from chaos.upstream.server import Upstream as Failing
from chaos.upstream.wire import Head
from jobs.calls.upstream import Upstream
from jobs.models import Job
from jobs.queue import claims
from jobs.worker.run import process
from pixian.client.backoff import Backoff
from pixian.client.client import Client
from pixian.protocol.credits import parse_credits

CREDENTIALS = KNOWN
CREDIT = 1_000_000
JSON = "application/json"
PATH = "/api/v2/remove-background"
Step = Fault


def picture(colour: str) -> bytes:
    """Return a small one that can be told from others."""
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "JPEG")
    return file.getvalue()


CUT_OUT = picture("green")


class Server(Failing):
    """``script`` holds the next answers; when it is empty, every call is answered ``otherwise``: succeeds.

    account_body: what account calls are answered; None for the balance that its charges leave.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(Settings(opening_microcredits=1000 * CREDIT), journal)
        self.script: deque[Step] = deque()
        self.otherwise: Step = answer()
        self.calls = 0
        self.account_calls = 0
        self.account_status = 200
        self.account_body: bytes | None = b'{"credits": 100.000000, "creditPack": "none", "state": "active"}'
        self.bodies: list[bytes] = []

    @property
    def charged(self) -> list[Charge]:
        return read_log(self.journal.path).charges

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def upstream(self) -> Upstream:
        return Upstream(Client(self.url, CREDENTIALS, idle_timeout=2), charges=True)

    def shut(self) -> None:
        """Refuse connections from now on."""

        async def close() -> None:
            self.listener.close()

        asyncio.run_coroutine_threadsafe(close(), self.listener.loop).result()

    def choose(self, *_: object) -> tuple[Fault, bool]:
        return (self.script.popleft() if self.script else self.otherwise), True

    def choose_account(self) -> Fault:
        self.account_calls += 1
        if self.account_status == 200 and self.account_body is None:
            return super().choose_account()
        return Fault("", status=self.account_status, content=self.account_body or b"", content_type=JSON)

    def receive(self, head: Head, body: bytes) -> Upload:
        self.bodies.append(body)
        self.calls += 1
        return super().receive(head, body)


@contextmanager
def serving() -> Iterator[Server]:
    with (
        TemporaryDirectory() as folder,
        closing(Journal(Path(folder) / "journal", fsync=False)) as journal,
        in_thread(partial(Server, journal)) as server,
    ):
        yield server


def answer(
    body: bytes = CUT_OUT, charged: str | None = "1.000000", cut: bool = False, kind: str = "image/png"
) -> Step:
    """Answer 200 with a charge; ``cut``: the body breaks off half-way."""
    amount = 0
    with suppress(ValueError):
        amount = parse_credits(charged or "")
    return Fault(
        "",
        content=body,
        content_type=kind,
        charges=charged is not None,
        microcredits=amount,
        header=() if charged is None else (charged,),
        sends=Sends.HALF if cut else Sends.ALL,
        then=Then.CLOSE if cut else Then.KEEP,
    )


def error(status: int, code: int = 0, message: str = "", **headers: str) -> Step:
    """Answer with the contract's envelope, or with HTML if there is no code."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    content = None if code else b"<h1>Internal error</h1>"
    kind = "" if code else "text/html"
    return Fault(message, status=status, code=code, content=content, content_type=kind, headers=pairs)


def redirect(location: str, status: int = 307) -> Step:
    return Fault("", status=status, body=Body.EMPTY, headers=(("Location", location),))


def after(before: Callable[[], Any], step: Step | None = None) -> Step:
    """Do something, or wait, while the client waits for this answer."""
    return replace(step or answer(), before=before)


no_answer = Fault("", sends=Sends.NOTHING, then=Then.CLOSE)
"""The request was read whole, and the line is cut."""


def charged_in_silence(credits_: str) -> Step:
    """Charge, and cut the line before a word of it is sent."""
    return replace(no_answer, charges=True, microcredits=parse_credits(credits_))


def run(server: Server, backoff: Backoff | None = None, charges: bool = True) -> tuple[Job, int]:
    """Claim the one job there is, due or not, and process it once."""
    Job.objects.unfinished().update(run_after=timezone.now(), lease_until=timezone.now() - timedelta(1))
    job = claims.claim("test")
    assert job
    upstream = server.upstream
    wait = process(job, Upstream(upstream.client, charges=charges), backoff or Backoff())
    job.refresh_from_db()
    return job, wait
