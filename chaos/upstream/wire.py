"""Just enough HTTP/1.1, by hand, since a server's library would finish what has to break off."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from pixian.protocol.errors import Refused, too_many_bytes
from pixian.protocol.limits import MAX_UPLOAD_BYTES

BACKLOG = 1024
BUFFER_BYTES = 1 << 20
MAX_BODY_BYTES = MAX_UPLOAD_BYTES + (1 << 21)
END_OF_HEAD = b"\r\n\r\n"
LONGEST_SILENCE_SECONDS = 3600

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Wire:
    """One connection's two directions."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """Send RST instead of the ordinary end; what wasn't sent yet is lost."""
        sock: socket.socket | None = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hung_up(self) -> None:
        """Return when the client has gone."""
        async with asyncio.timeout(LONGEST_SILENCE_SECONDS):
            while await self.reader.read(BUFFER_BYTES):
                pass


@dataclass(frozen=True)
class Head:
    """A request's first line and headers, their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a request's head; None if the client hung up between two requests.

    Raises IncompleteReadError if it did within one, and ConnectionError if it doesn't speak HTTP.
    """
    try:
        raw = await reader.readuntil(END_OF_HEAD)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise ConnectionError("The head has no end.") from error
    first, *lines = raw[: -len(END_OF_HEAD)].decode("latin-1").split("\r\n")
    if first.count(" ") != 2:
        raise ConnectionError(f"This isn't HTTP: {first}")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Head(method, target.partition("?")[0], {name.lower(): text.strip() for name, _, text in pairs})


async def read_body(head: Head, wire: Wire) -> bytes:
    """Read a request's body; raises IncompleteReadError if the client leaves, Refused 413 for too much."""
    if "chunked" not in head.headers.get("transfer-encoding", "").lower():
        size = int(head.headers.get("content-length", 0))
        _check_size(size)
        return await wire.reader.readexactly(size)
    body = bytearray()
    while size := int((await wire.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        _check_size(len(body) + size)
        body += (await wire.reader.readexactly(size + 2))[:-2]
    while await wire.reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise too_many_bytes(size, MAX_UPLOAD_BYTES)


def format_head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {text}" for name, text in headers)]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD


class Listener:
    """Listens at one address; hands each connection to ``talk``, and closes it afterwards.

    It can stop listening for a while. resets: connections to reset as soon as they are accepted.
    """

    def __init__(self, bind: str, port: int, talk: Callable[[Wire], Awaitable[None]]) -> None:
        # Bound and never listening: while the listener is away, the kernel gives the port to nobody else.
        self._claim = _bind(bind, port)
        self.url = "http://{}:{}".format(*self._claim.getsockname())
        self._talk = talk
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.resets = 0

    async def open(self) -> None:
        self.loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, sock=_bind(*self._claim.getsockname()), backlog=BACKLOG, limit=BUFFER_BYTES
            )

    def close(self, seconds: float | None = None) -> None:
        """Refuse connections for so many seconds or until ``open``; those that there are go on."""
        if self._server:
            self._server.close()
            self._server = None
        if self._timer:
            self._timer.cancel()
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._open_again)

    def release(self) -> None:
        """Give the address up for good."""
        self.close()
        self._claim.close()

    def _open_again(self) -> None:
        self._opening = asyncio.create_task(self.open())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        if self.resets > 0:
            self.resets -= 1
            wire.reset()
            return
        try:
            await self._talk(wire)
        except (ConnectionError, EOFError, TimeoutError, Refused, asyncio.CancelledError):
            pass  # the client has left, or sends without end, or this process ends
        finally:
            writer.close()


def _bind(bind: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((bind, port))
    return sock
