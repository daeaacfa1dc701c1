"""A gunicorn worker that serves with waitress, and deadlines for slow clients.

gunicorn starts, watches and stops the processes. In each of them one loop (waitress) reads requests and
writes responses: a request takes a thread only once its last byte is here, and a response leaves the thread
as soon as it is made. So slow uploads and slow downloads cost no threads. waitress by itself closes
connections that are silent; here a client also has to keep a least rate.
"""

import errno
import fcntl
import os
import resource
import socket
import struct
import sys
import termios
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from wsgiref.types import StartResponse, WSGIEnvironment

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import BadRequest

CHECK_EVERY_SECONDS = 0.5
PROBE_PATH = "/healthz"
PROBE_THREADS = 4
MAX_HEADER_BYTES = 1 << 16
MAX_CHUNK_LINE_BYTES = 1 << 13
RECEIVE_BYTES = 1 << 14
MAX_RESPONSE_BYTES = 1 << 27
"""Above the largest picture: a thread waits for a slow client only if there is even more to send."""

OPEN_FILES = 4096
"""A connection may have two temporary files; many systems allow 1,024 until they are asked."""

TOO_SLOW = "408 Request Timeout"
CROWDED = "503 Service Unavailable"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Limits:
    """What a client may cost.

    patience: seconds that a connection may be idle, that a request's headers may take, and that a body or a
    response may take before its rate counts.
    least_rate: bytes a second, on average, of a body that comes in and of a response that goes out.
    body_bytes: above it the server refuses a body itself.
    connections: of one process; the slowest is closed for one more.
    kept_bytes: of all unfinished requests and responses together, in memory and temporary files.
    """

    patience: float = 20
    least_rate: int = 10_000
    body_bytes: int = 1 << 27
    connections: int = 500
    kept_bytes: int = 1 << 30


class Stage(Enum):
    """What a connection is waiting for. In all stages but WORK that is the client."""

    IDLE = auto()
    HEADERS = auto()
    BODY = auto()
    WORK = auto()
    RESPONSE = auto()


class Parser(HTTPRequestParser):  # type: ignore[misc]
    completed: bool

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.completed:
            # waitress would say "continue" and wait for a body that isn't to come.
            self.expect_continue = False
        elif self.chunked and self._line_bytes() > MAX_CHUNK_LINE_BYTES:
            # waitress copies an unfinished line with each packet, in the loop that serves everybody.
            self.error, self.completed = BadRequest("A chunk's header is too long"), True
        return consumed

    def _line_bytes(self) -> int:
        return len(self.body_rcv.control_line) + len(self.body_rcv.trailer)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = Parser
    stage = Stage.IDLE
    moved = 0
    """Bytes, in either direction, since the stage began."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.since = time.monotonic()
        super().__init__(*args, **kwargs)

    def readable(self) -> bool:
        # The loop asks this of every connection before each wait, so no change of stage is missed.
        if (stage := self._stage()) is not self.stage:
            self.stage, self.since = stage, time.monotonic()
            # What an earlier stage has left in the kernel counts once the client has taken it.
            self.moved = self._in_kernel() if stage is Stage.RESPONSE else 0
        return bool(super().readable())

    def _stage(self) -> Stage:
        if self.total_outbufs_len:
            return Stage.RESPONSE
        if self.requests:
            return Stage.WORK
        if self.request is None:
            return Stage.IDLE
        return Stage.BODY if self.request.headers_finished else Stage.HEADERS

    @property
    def waits_for_client(self) -> bool:
        # A stage that has just ended is judged no more.
        return self.stage is not Stage.WORK and self._stage() is self.stage

    def is_overdue(self, now: float) -> bool:
        if not self.waits_for_client:
            return False
        limits: Limits = self.server.limits
        seconds = now - self.since - limits.patience
        if seconds > 0 and self.stage in (Stage.BODY, Stage.RESPONSE):
            return self.moved - self._in_kernel() < seconds * limits.least_rate
        return seconds > 0

    def _in_kernel(self) -> int:
        """Return how many bytes of a response the client's machine hasn't confirmed."""
        try:
            return int.from_bytes(fcntl.ioctl(self._fileno, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:  # not every system tells this of a socket
            return 0

    def rate(self, now: float) -> float:
        return self.moved / max(now - self.since, CHECK_EVERY_SECONDS)

    def kept_bytes(self) -> int:
        requests = [*self.requests, self.request]
        received = sum(request.body_bytes_received for request in requests if request is not None)
        return int(self.total_outbufs_len + received)

    def dismiss(self, status: str) -> None:
        """Close the connection; a client that is still sending is told why."""
        with suppress(OSError):  # the client may have gone by itself
            self._say_goodbye(status)
        self.handle_close()

    def _say_goodbye(self, status: str) -> None:
        if self.stage in (Stage.HEADERS, Stage.BODY):
            answer = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self.send(answer.encode(), do_close=False)
        if self.stage is Stage.RESPONSE:
            # Else the kernel would keep what is left, as long as the client likes.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def recv(self, buffer_size: int) -> bytes:
        data: bytes = super().recv(buffer_size)
        self.moved += len(data)
        return data

    def send(self, data: bytes, **kwargs: bool) -> int:
        sent: int = super().send(data, **kwargs)
        self.moved += sent
        return sent

    def received(self, data: bytes) -> bool:
        try:
            return bool(super().received(data))
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.stage = Stage.BODY
            self.dismiss(CROWDED)
            return False


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads for requests, and a few more for health probes alone, which mustn't wait behind what hangs."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self._probes = ThreadedTaskDispatcher()
        self._probes.set_thread_count(PROBE_THREADS)

    def add_task(self, task: Channel) -> None:
        if getattr(task.requests[0], "path", "") == PROBE_PATH:
            self._probes.add_task(task)
        else:
            super().add_task(task)


def raise_open_files(number: int) -> None:
    """Let this process have so many files and connections open, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        most = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class WaitressWorker(Worker):  # type: ignore[misc]
    limits = Limits()

    def run(self) -> None:
        self._sockets: dict[int, object] = {}
        self._checked_at = 0.0
        raise_open_files(OPEN_FILES)
        servers = self._servers()
        while self.alive and self.ppid == os.getppid():
            self._turn()
        for server in servers:
            wasyncore.dispatcher.close(server)
        # gunicorn kills whoever takes longer than graceful_timeout.
        while self._busy():
            self._turn()

    def _servers(self) -> list[BaseWSGIServer]:
        create_server(
            self._application,
            map=self._sockets,
            _dispatcher=Dispatcher(self.cfg.threads),
            sockets=[listener.sock for listener in self.sockets],
            backlog=self.cfg.backlog,
            clear_untrusted_proxy_headers=False,  # the application knows how many proxies to believe
            connection_limit=self.limits.connections,
            log_socket_errors=False,
            max_request_body_size=self.limits.body_bytes,
            max_request_header_size=MAX_HEADER_BYTES,
            outbuf_high_watermark=MAX_RESPONSE_BYTES,
            recv_bytes=RECEIVE_BYTES,
        )
        servers = [s for s in self._sockets.values() if isinstance(s, BaseWSGIServer)]
        for server in servers:
            server.channel_class, server.limits = Channel, self.limits
        return servers

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # With it the loop itself would read the files, and a disk that hangs would stop all of it.
        environ.pop("wsgi.file_wrapper", None)
        response: Iterable[bytes] = self.wsgi(environ, start_response)
        return response

    def _turn(self) -> None:
        self.notify()
        wasyncore.poll2(CHECK_EVERY_SECONDS, self._sockets)
        now = time.monotonic()
        if now - self._checked_at >= CHECK_EVERY_SECONDS:
            self._checked_at = now
            self._dismiss_the_slow(now)

    def _dismiss_the_slow(self, now: float) -> None:
        for channel in self._channels():
            if channel.is_overdue(now):
                channel.dismiss(TOO_SLOW)
        waiting = [c for c in self._channels() if c.waits_for_client and now - c.since > 1]
        slowest = sorted(waiting, key=lambda channel: channel.rate(now))
        if len(self._sockets) >= self.limits.connections:
            for channel in slowest[: self.limits.connections // 10]:
                channel.dismiss(CROWDED)
        kept = sum(channel.kept_bytes() for channel in self._channels())
        for channel in slowest:
            if kept <= self.limits.kept_bytes:
                break
            kept -= channel.kept_bytes()
            channel.dismiss(CROWDED)

    def _channels(self) -> list[Channel]:
        return [c for c in self._sockets.values() if isinstance(c, Channel)]

    def _busy(self) -> bool:
        """Close what waits for nothing; return whether requests are left."""
        for channel in self._channels():
            if channel.stage is Stage.IDLE and not channel.requests:
                channel.handle_close()
        return bool(self._channels())
