"""The upstream as a test or an experiment holds it: started, told what to do, read, killed."""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from chaos.upstream import process
from chaos.upstream.journal import Log, read_log
from chaos.upstream.settings import KNOWN
from pixian.protocol.credentials import Credentials

MODULE = "chaos.upstream"
LOOK_EVERY_SECONDS = 0.01
Step = str | dict[str, Any]
"""A fault's name, or ``{"fault": name, "delay": 7, "times": 3, …}``."""


class Options(TypedDict, total=False):
    """Those of the command line. Amounts are credits, as text: ``"1.25"``."""

    bind: str
    port: int
    control_port: int
    seed: int
    mix: str
    delay: float
    scale: float
    credits: str
    credits_per_megapixel: str
    opening: str
    result_bytes: int


class Server:
    """A running upstream.

    url: what PIXIAN_API_URL is set to. control: the address it takes orders at. pid: of its process.
    """

    def __init__(
        self, path: Path, credentials: Credentials, arguments: Sequence[str], prefix: Sequence[str]
    ) -> None:
        self.path = path
        self.credentials = credentials
        self._arguments = arguments
        self._prefix = prefix
        self._start([])

    def _start(self, more: Sequence[str]) -> None:
        self._child, told = process.start(MODULE, [*self._arguments, *more], self._prefix)
        self.url, self.control, self.pid = told["url"], told["control"], self._child.pid

    def log(self) -> Log:
        """What the log says now."""
        return read_log(self.path)

    def script(self, steps: Sequence[Step]) -> None:
        """The answers to the next calls, in the order in which they arrive; adds to those left."""
        self.order("script", list(steps))

    def account_script(self, steps: Sequence[Step]) -> None:
        """The same for account calls; ``ok`` is the true account."""
        self.order("account", list(steps))

    def by_sha256(self, sha256: str, faults: Step | Sequence[Step]) -> None:
        """The answer to each call with this picture, or a list of answers that is used up."""
        wanted = faults if isinstance(faults, str | dict) else list(faults)
        self.order("by-sha256", {"sha256": sha256, "faults": wanted})

    def purchase(self, microcredits: int) -> None:
        self.order("purchase", {"microcredits": microcredits})

    def refuse(self, seconds: float | None = None) -> None:
        """No connection from now on, for so many seconds or until ``open``."""
        self.order("refuse", {"seconds": seconds})

    def open(self) -> None:
        self.order("open")

    def reset_connections(self, number: int) -> None:
        """So many of the next connections are reset when they are accepted."""
        self.order("reset", {"connections": number})

    def clear(self) -> None:
        """Forgets all scripts and resets: back to the seed."""
        self.order("clear")

    def status(self) -> dict[str, Any]:
        """calls, in_flight, script, balance_microcredits."""
        told: dict[str, Any] = self._ask("GET", "status")
        return told

    def wait_idle(self, seconds: float = 10) -> None:
        """Until no call is in flight, so that the log says all; raises TimeoutError."""
        end = time.monotonic() + seconds
        while self.status()["in_flight"]:
            if time.monotonic() > end:
                raise TimeoutError(f"calls are in flight after {seconds} s")
            time.sleep(LOOK_EVERY_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        process.kill(self._child)

    def restart(self) -> None:
        """The same again at the same addresses and on the same log; killed first if it still runs.
        Scripts are forgotten."""
        self.kill()
        self.end()
        ports = (urlsplit(url).port for url in (self.url, self.control))
        self._start([f"--{name}={port}" for name, port in zip(("port", "control-port"), ports, strict=True)])

    def end(self) -> None:
        process.end(self._child)

    def order(self, what: str, payload: object = None) -> None:
        """Any order of ``chaos.upstream.control``; raises ValueError where it isn't understood."""
        self._ask("POST", what, payload)

    def _ask(self, method: str, what: str, payload: object = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.control).netloc, timeout=10)
        try:
            connection.request(method, f"/control/{what}", json.dumps(payload))
            answer = connection.getresponse()
            told = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(told)
        return told


@contextmanager
def running(
    log: Path,
    *,
    credentials: Credentials = KNOWN,
    fsync: bool = True,
    prefix: Sequence[str] = (),
    **options: Unpack[Options],
) -> Iterator[Server]:
    """An upstream on a free port, listening when this is entered, ended when it is left.

    ``prefix`` goes before its command: ``["ip", "netns", "exec", NAME]`` for example.
    """
    arguments = [f"--log={log.resolve()}", f"--credentials={credentials.api_id}:{credentials.api_secret}"]
    arguments += [] if fsync else ["--no-fsync"]
    arguments += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    server = Server(log, credentials, arguments, prefix)
    try:
        yield server
    finally:
        server.end()
