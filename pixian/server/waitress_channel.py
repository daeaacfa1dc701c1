"""A connection as waitress serves it, with deadlines for clients that are slow."""

import errno
import fcntl
import socket
import struct
import sys
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import BadRequest

SHORTEST_SECONDS = 0.5
MAX_CHUNK_LINE_BYTES = 1 << 13
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
    memory_bytes: kept so far, above which a body that begins goes to a temporary file unless it is small.
    """

    patience: float = 20
    least_rate: int = 10_000
    body_bytes: int = 1 << 27
    connections: int = 500
    kept_bytes: int = 1 << 30
    memory_bytes: int = 1 << 26


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
        return self.moved / max(now - self.since, SHORTEST_SECONDS)

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
