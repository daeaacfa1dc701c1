"""The upstream as a test or an experiment holds it: started, given orders, read, killed."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypedDict, TypeVar, Unpack, cast
from urllib.parse import urlsplit

from chaos.upstream.journal import Log, read_log
from chaos.upstream.server import KNOWN, Upstream
from pixian.protocol.credentials import Credentials

ROOT = Path(__file__).resolve().parents[2]
MODULE = "chaos.upstream"
POLL_SECONDS = 0.01
ENDS_WITHIN_SECONDS = 5
MOST_THREADS = 64  # of scripts that wait
Step = str | dict[str, Any]
"""A fault's name, or ``{"fault": name, "delay": 7, "times": 3, …}``."""

AnyUpstream = TypeVar("AnyUpstream", bound=Upstream)


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
    """An upstream in a process of its own.

    url: what PIXIAN_API_URL is set to. control: the address it takes orders at. pid: of its process.
    """

    def __init__(self, path: Path, credentials: Credentials, arguments: Sequence[str]) -> None:
        self.path = path
        self.credentials = credentials
        self._arguments = arguments
        self._start([])

    def _start(self, more: Sequence[str]) -> None:
        self._child, told = start(MODULE, [*self._arguments, *more])
        self.url, self.control, self.pid = told["url"], told["control"], self._child.pid

    def log(self) -> Log:
        return read_log(self.path)

    def script(self, steps: Sequence[Step]) -> None:
        """Append the answers to the next calls, in the order in which they arrive."""
        self.order("script", list(steps))

    def account_script(self, steps: Sequence[Step]) -> None:
        """Do the same for account calls; ``ok`` is the true account."""
        self.order("account", list(steps))

    def by_sha256(self, sha256: str, faults: Step | Sequence[Step]) -> None:
        """Set the answer to each call with this picture, or a list of answers that is used up."""
        wanted = faults if isinstance(faults, str | dict) else list(faults)
        self.order("by-sha256", {"sha256": sha256, "faults": wanted})

    def purchase(self, microcredits: int) -> None:
        self.order("purchase", microcredits)

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections from now on, for so many seconds or until ``open``."""
        self.order("refuse", seconds)

    def reset_connections(self, number: int) -> None:
        """Reset so many of the next connections when they are accepted."""
        self.order("reset", number)

    def open(self) -> None:
        self.order("open")

    def clear(self) -> None:
        """Forget all scripts and resets: back to the seed."""
        self.order("clear")

    def status(self) -> dict[str, Any]:
        """Return calls, in_flight, script and balance_microcredits."""
        return cast("dict[str, Any]", self.order("status"))

    def wait_idle(self, seconds: float = 10) -> None:
        """Wait until no call is in flight, so that the journal says all; raises TimeoutError."""
        end = time.monotonic() + seconds
        while self.status()["in_flight"]:
            if time.monotonic() > end:
                raise TimeoutError(f"calls are in flight after {seconds} s")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """SIGKILL it: no line of its code runs any more."""
        self._child.kill()
        self._child.wait()

    def restart(self) -> None:
        """Kill it and start it again at the same addresses, on the same journal; scripts are forgotten."""
        self.kill()
        self.end()
        ports = (urlsplit(url).port for url in (self.url, self.control))
        self._start([f"--{name}={port}" for name, port in zip(("port", "control-port"), ports, strict=True)])

    def end(self) -> None:
        end(self._child)

    def order(self, what: str, payload: object = None) -> object:
        """Give any order of ``server.Control``; raises ValueError if it isn't understood."""
        connection = http.client.HTTPConnection(urlsplit(self.control).netloc, timeout=10)
        try:
            connection.request("POST", f"/control/{what}", json.dumps(payload))
            response = connection.getresponse()
            told: object = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(told)
        return told


@contextmanager
def running(
    log: Path, *, credentials: Credentials = KNOWN, fsync: bool = True, **options: Unpack[Options]
) -> Iterator[Server]:
    """Run an upstream on a free port, in a process of its own."""
    arguments = [f"--log={log.resolve()}", f"--credentials={credentials.api_id}:{credentials.api_secret}"]
    arguments += [] if fsync else ["--no-fsync"]
    arguments += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    server = Server(log, credentials, arguments)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def in_thread(make: Callable[[], AnyUpstream]) -> Iterator[AnyUpstream]:
    """Run an upstream on loopback in a thread of this process."""
    upstream = make()
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(MOST_THREADS))
    loop.run_until_complete(upstream.listener.open())
    thread = threading.Thread(target=loop.run_forever, name="upstream")
    thread.start()
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end_all(loop))
        upstream.listener.release()
        loop.close()


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_default_executor()


# Processes of our own: how a child says that it is ready, and how its parent is sure that it has ended.


def announce(**facts: str) -> None:
    """Print the child's one line of output."""
    sys.stdout.write(json.dumps(facts | {"pid": os.getpid()}) + "\n")
    sys.stdout.flush()


async def until_ended() -> None:
    """Return on SIGTERM and SIGINT, and when standard input ends if that is a pipe: the parent has died."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if Path("/dev/stdin").is_fifo():
        loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


def start(module: str, arguments: Sequence[str]) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Run the module in a child; return it and what it announced. Raises RuntimeError if it ended instead."""
    command, pipe = [sys.executable, "-m", module, *arguments], subprocess.PIPE
    child = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
    with cast("IO[str]", child.stdout) as output:
        line = output.readline()
    if not line:
        end(child)
        raise RuntimeError(f"{module} ended with {child.returncode} before it listened")
    return child, json.loads(line)


def end(child: subprocess.Popen[str]) -> None:
    """End the child, by force if it doesn't listen."""
    child.terminate()
    try:
        child.wait(ENDS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdin:
        child.stdin.close()
