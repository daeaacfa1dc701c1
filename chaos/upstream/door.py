"""The listening socket, which can go away for a while or reset whom it lets in."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from chaos.upstream.wire import BUFFER_BYTES, Wire
from pixian.protocol.errors import Refused

BACKLOG = 1024
Talk = Callable[[Wire], Awaitable[None]]


class Door:
    """Listens at one address; each connection is handed to ``talk`` and closed after it.

    resets: so many of the next connections are reset as soon as they are accepted.
    """

    def __init__(self, bind: str, port: int, talk: Talk) -> None:
        # Bound and never listening: while the listener is away, nobody else is given the port.
        self._claim = _bound(bind, port)
        self._talk = talk
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.resets = 0

    @property
    def url(self) -> str:
        bind, port = self._claim.getsockname()
        return f"http://{bind}:{port}"

    async def open(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._server is None:
            listener = _bound(*self._claim.getsockname())
            self._server = await asyncio.start_server(
                self._let_in, sock=listener, backlog=BACKLOG, limit=BUFFER_BYTES
            )

    def close(self, seconds: float | None = None) -> None:
        """Connections are refused from here on, for so many seconds or until ``open``. Those that
        there are go on."""
        if self._server:
            self._server.close()
            self._server = None
        if self._timer:
            self._timer.cancel()
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._open_again)

    def _open_again(self) -> None:
        self._opening = asyncio.create_task(self.open())

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        if self.resets > 0:
            self.resets -= 1
            wire.reset()
            return
        try:
            await self._talk(wire)
        except (ConnectionError, EOFError, TimeoutError, Refused, asyncio.CancelledError):
            # The client went away, and what it asked for was dealt with all the same; or it sends without
            # end; or this process ends.
            pass
        finally:
            writer.close()


def _bound(bind: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((bind, port))
    return sock
