"""The upstream as a test or an experiment holds it: started, given orders, read, killed."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from inspect import isawaitable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from chaos.upstream.journal import Journal, Log, read_log
from chaos.upstream.server import KNOWN, Settings, Upstream
from chaos.waiting import wait_for

ENDS_WITHIN_SECONDS = 5
MOST_THREADS = 64  # of scripts that wait
SPAWN = get_context("spawn")

AnyUpstream = TypeVar("AnyUpstream", bound=Upstream)


class Child:
    """A server in a process of its own, which ends with this one: ``serve`` sends its URL, then obeys."""

    def __init__(self, serve: Callable[..., Awaitable[None]], *arguments: object) -> None:
        self.connection, its_end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_run, args=(serve, its_end, *arguments), daemon=True)
        self.process.start()
        its_end.close()
        try:
            self.url = str(self.connection.recv())
        except EOFError as error:
            self.end()
            raise RuntimeError(f"the child ended with {self.process.exitcode} before it listened") from error

    def order(self, name: str, *arguments: object) -> Any:
        """Call a method of what ``serve`` obeys for; return or raise what it does."""
        self.connection.send((name, arguments))
        result = self.connection.recv()
        if isinstance(result, Exception):
            raise result
        return result

    def kill(self) -> None:
        """SIGKILL it: no line of its code runs any more."""
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        """End it, by force if it doesn't listen."""
        self.process.terminate()
        self.process.join(ENDS_WITHIN_SECONDS)
        self.kill()
        self.connection.close()


def _run(serve: Callable[..., Any], *arguments: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C ends it through its parent
    asyncio.run(serve(*arguments))


async def obey(connection: Connection, target: object) -> None:
    """Call the target's methods as ordered, until the other end of the connection is closed."""
    while True:
        try:
            name, arguments = await asyncio.to_thread(connection.recv)
        except EOFError:
            return
        try:
            result = attrgetter(name)(target)(*arguments)
            connection.send(await result if isawaitable(result) else result)
        except (LookupError, TypeError, ValueError) as error:
            connection.send(error)


async def serve_upstream(connection: Connection, path: Path, settings: Settings) -> None:
    with closing(Journal(path, fsync=settings.fsync)) as journal:
        upstream = Upstream(settings, journal)
        await upstream.listener.open()
        connection.send(upstream.listener.url)
        await obey(connection, upstream)


class Server:
    """An upstream in a process of its own. url: what PIXIAN_API_URL is set to."""

    credentials = KNOWN

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self._settings = settings
        self.child = Child(serve_upstream, path, settings)
        self.url = self.child.url

    def log(self) -> Log:
        return read_log(self.path)

    def order(self, name: str, *arguments: object) -> Any:
        """Call a method of its ``Upstream`` or, dotted, of a part of it; return or raise what it does."""
        return self.child.order(name, *arguments)

    def wait_idle(self, seconds: float = 10) -> None:
        """Wait until no call is in flight, so that the journal says all; raises TimeoutError."""
        wait_for(lambda: not self.order("status")["in_flight"], seconds, "the end of all calls")

    def restart(self) -> None:
        """Kill it and start it again at the same address, on the same journal; scripts are forgotten."""
        self.child.kill()
        self.child.end()
        settings = replace(self._settings, port=urlsplit(self.url).port or 0)
        self.child = Child(serve_upstream, self.path, settings)


@contextmanager
def running(log: Path, **settings: Any) -> Iterator[Server]:
    """Run an upstream on a free port, in a process of its own, with these ``Settings``."""
    server = Server(log, Settings(**settings))
    try:
        yield server
    finally:
        server.child.end()


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
