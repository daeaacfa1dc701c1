"""waitress's connection class, with deadlines for slow clients."""

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
PERIOD_PATIENCES = 3
"""The rate of a transfer is an average over at most so many times a client's patience."""

MAX_CHUNK_LINE_BYTES = 1 << 13
MAX_BUFFER_BYTES = 1 << 23
"""waitress keeps what it has sent until a buffer is full: by default at 128 MB of a long response."""
TOO_SLOW = "408 Request Timeout"
CROWDED = "503 Service Unavailable"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Limits:
    """Limits on the resources that clients may hold.

    patience: seconds that a connection may stay idle, that a request's headers may take, and that a body or
    response may take before its rate is judged.
    least_rate: bytes per second that a body or response must reach on average, in each period of a long one.
    body_bytes: a larger body is refused by the server itself, before the application sees it.
    connections: per process; when they are used up, the slowest ones are closed.
    kept_bytes: size of all unfinished requests and responses together, in memory and temporary files.
    memory_bytes: kept_bytes above which bodies go on in temporary files, unless they are small.
    """

    patience: float = 20
    least_rate: int = 10_000
    body_bytes: int = 1 << 27
    connections: int = 500
    kept_bytes: int = 1 << 30
    memory_bytes: int = 1 << 26


class Stage(Enum):
    """The stage of a connection. In each one but WORK, the server waits for the client."""

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
            # For a request without a body, waitress would send "100 Continue" and wait for one.
            self.expect_continue = False
        elif (
            self.chunked
            and len(self.body_rcv.control_line) + len(self.body_rcv.trailer) > MAX_CHUNK_LINE_BYTES
        ):
            # waitress copies an unfinished chunk header again with each packet, in the loop that serves
            # all connections: a long one would stall everybody.
            self.error, self.completed = BadRequest("A chunk's header is too long"), True
        return consumed


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, which knows its stage, since when, and how many bytes have moved."""

    parser_class = Parser
    stage = Stage.IDLE
    current_outbuf_count: int
    moved = 0
    """Bytes transferred in either direction since the stage began."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.since = time.monotonic()
        super().__init__(*args, **kwargs)

    def readable(self) -> bool:
        # The loop calls this on every connection before each poll, so no change of stage is missed.
        if (stage := self._stage()) is not self.stage:
            self.stage = stage
            self._begin(time.monotonic())
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
        # If the stage has changed since the last poll, its timing is out of date.
        return self.stage is not Stage.WORK and self._stage() is self.stage

    def is_overdue(self, now: float) -> bool:
        if not self.waits_for_client:
            return False
        limits: Limits = self.server.limits
        seconds = now - self.since - limits.patience
        if seconds > 0 and self.stage in (Stage.BODY, Stage.RESPONSE):
            return self.moved - self._in_kernel() < seconds * limits.least_rate
        return seconds > 0

    def judge_anew(self, now: float) -> None:
        """Begin another period of a long transfer that has kept up the rate so far.

        Over its whole length, a client that stops reading after a gigabyte would keep up the rate for a day.
        """
        period = PERIOD_PATIENCES * self.server.limits.patience
        if self.stage in (Stage.BODY, Stage.RESPONSE) and self.waits_for_client and now - self.since > period:
            self._begin(now)

    def _begin(self, now: float) -> None:
        self.since = now
        # Bytes of an earlier response or period that are still in the kernel's buffer count when the client
        # acknowledges them, as ``is_overdue`` subtracts what is in the buffer then.
        self.moved = self._in_kernel() if self.stage is Stage.RESPONSE else 0

    def _in_kernel(self) -> int:
        """Return the number of bytes in the socket's send buffer, sent or not, but not acknowledged yet."""
        try:
            return int.from_bytes(fcntl.ioctl(self._fileno, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:  # not supported for sockets on every system
            return 0

    def rate(self, now: float) -> float:
        return self.moved / max(now - self.since, SHORTEST_SECONDS)

    def kept_bytes(self) -> int:
        requests = [*self.requests, self.request]
        received = sum(request.body_bytes_received for request in requests if request is not None)
        return int(self.total_outbufs_len + received)

    def dismiss(self, status: str) -> None:
        """Close the connection; a client that is still sending gets a response with this status."""
        with suppress(OSError):  # the client may have disconnected by now
            self._say_goodbye(status)
        self.handle_close()

    def _say_goodbye(self, status: str) -> None:
        if self.stage in (Stage.HEADERS, Stage.BODY):
            answer = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self.send(answer.encode(), do_close=False)
        if self.stage is Stage.RESPONSE:
            # Discard the rest of the response on close; the kernel would keep it until the client reads it.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def recv(self, buffer_size: int) -> bytes:
        data: bytes = super().recv(buffer_size)
        self.moved += len(data)
        return data

    def send(self, data: bytes, **kwargs: bool) -> int:
        sent: int = super().send(data, **kwargs)
        self.moved += sent
        return sent

    def write_soon(self, data: bytes) -> int:
        if self.current_outbuf_count >= MAX_BUFFER_BYTES:
            self.current_outbuf_count = self.adj.outbuf_high_watermark  # at which waitress begins another one
        return int(super().write_soon(data))

    def received(self, data: bytes) -> bool:
        try:
            return bool(super().received(data))
        except OSError as error:
            # A full disk can't take the temporary file of a large body.
            if error.errno not in FULL:
                raise
            self.stage = Stage.BODY
            self.dismiss(CROWDED)
            return False
