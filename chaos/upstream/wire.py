"""Just enough HTTP/1.1, by hand, since a server's library would finish what has to break off."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus

from pixian.protocol.errors import Refused, too_many_bytes
from pixian.protocol.limits import MAX_UPLOAD_BYTES

BUFFER_BYTES = 1 << 20
MAX_BODY_BYTES = MAX_UPLOAD_BYTES + (1 << 21)
END_OF_HEAD = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue" + END_OF_HEAD
LONGEST_SILENCE_SECONDS = 3600

Headers = list[tuple[str, str]]


class NotHttpError(ConnectionError):
    """Something else is spoken here."""


@dataclass(frozen=True)
class Wire:
    """One connection's two directions."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """RST instead of the ordinary end; what wasn't sent yet is lost."""
        sock: socket.socket | None = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hung_up(self) -> None:
        """Returns when the client has gone."""
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

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None where the client hung up between two requests. Raises IncompleteReadError where it did within
    one, and NotHttpError."""
    try:
        raw = await reader.readuntil(END_OF_HEAD)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise NotHttpError("The head has no end.") from error
    first, *lines = raw[: -len(END_OF_HEAD)].decode("latin-1").split("\r\n")
    if first.count(" ") != 2:
        raise NotHttpError(first)
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Head(method, target.partition("?")[0], {name.lower(): text.strip() for name, _, text in pairs})


async def read_body(head: Head, wire: Wire) -> bytes:
    """Raises IncompleteReadError where the client goes before its end, and Refused 413 for too much."""
    if head.headers.get("expect", "").lower() == "100-continue":
        wire.writer.write(CONTINUE)
    if head.chunked:
        return await _read_chunks(wire.reader)
    if head.length > MAX_BODY_BYTES:
        raise _too_large(head.length)
    return await wire.reader.readexactly(head.length)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        if len(body) + size > MAX_BODY_BYTES:
            raise _too_large(len(body) + size)
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _too_large(size: int) -> Refused:
    return too_many_bytes(size, MAX_UPLOAD_BYTES)


def head_of(status: int, headers: Headers) -> bytes:
    """An answer's head as it goes out."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {text}" for name, text in headers)]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD
