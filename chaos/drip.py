"""Connections that send, or read, a few bytes at a time, and what they see of a server."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

EVERY_SECONDS = 0.5
SMALL_WINDOW_BYTES = 4096


@dataclass(frozen=True)
class Drip:
    """opening: sent at once. drop: sent again and again; where it is b"", a byte is read in its place. work:
    seconds that the server itself takes for a crowd of these."""

    name: str
    opening: bytes
    drop: bytes = b""
    work: float = 0


@dataclass
class Crowd:
    """longest_open: seconds, of any connection. opened: how often the server let go and another was made."""

    port: int
    drip: Drip
    longest_open: float = 0
    opened: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def of(self, connections: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._insist) for _ in range(connections)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _insist(self) -> None:
        while not self._stop.wait(0.01):
            began = time.monotonic()
            with suppress(OSError):
                self._talk()
            with self._lock:
                self.longest_open = max(self.longest_open, time.monotonic() - began)
                self.opened += 1

    def _talk(self) -> None:
        """Returns, or raises OSError, when the server has closed the connection."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
            connection.settimeout(EVERY_SECONDS)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(self.drip.opening)
            closed = select.poll()  # what was answered before needn't be read to see it
            closed.register(connection, select.POLLRDHUP)
            while not self._stop.wait(EVERY_SECONDS) and not closed.poll(0):
                if self.drip.drop:
                    connection.sendall(self.drip.drop)
                else:
                    with suppress(TimeoutError):
                        connection.recv(1)
