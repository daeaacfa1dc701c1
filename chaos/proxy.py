"""A proxy that loses patience.

It passes bytes on both ways and cuts a connection on which none has moved for so long. The server behind it
goes on working and hears nothing of it but a closed connection.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from chaos.upstream.running import Child, obey
from chaos.upstream.wire import BUFFER_BYTES, Listener, Wire


@contextmanager
def running(to: str, cut_after: float, *, reset: bool = False) -> Iterator[str]:
    """Run a proxy to a server's URL, and yield its own. reset: cut by RST, not by the ordinary end."""
    target = urlsplit(to)
    child = Child(serve, Carrier(str(target.hostname), target.port or 80, cut_after, reset))
    try:
        yield child.url
    finally:
        child.end()


async def serve(connection: Connection, carrier: "Carrier") -> None:
    listener = Listener("127.0.0.1", 0, carrier.talk)
    await listener.open()
    connection.send(listener.url)
    await obey(connection, carrier)


@dataclass(frozen=True)
class Carrier:
    """Carries connections to a host and port; impatient after so many seconds without a byte."""

    host: str
    port: int
    seconds: float
    reset: bool

    async def talk(self, client: Wire) -> None:
        try:
            server = Wire(*await asyncio.open_connection(self.host, self.port))
        except OSError:
            client.reset()
            return
        try:
            async with asyncio.timeout(self.seconds) as patience, asyncio.TaskGroup() as both:
                both.create_task(self._carry(client, server, patience))
                both.create_task(self._carry(server, client, patience))
        except* TimeoutError:
            if self.reset:
                client.reset()
        except* ConnectionError:  # a reset stays a reset on the other side
            client.reset()
            server.reset()
        finally:
            server.writer.close()

    async def _carry(self, source: Wire, target: Wire, patience: asyncio.Timeout) -> None:
        while some := await source.reader.read(BUFFER_BYTES):
            patience.reschedule(asyncio.get_running_loop().time() + self.seconds)
            target.writer.write(some)
            await target.writer.drain()
        target.writer.write_eof()
