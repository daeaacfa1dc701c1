"""A proxy that loses patience.

It passes bytes on both ways and cuts a connection on which none has moved for so long; ``however_busy``: one
that was opened so long ago. The server behind it goes on working and hears nothing of it but a closed
connection. ``rate`` makes it as slow for what clients send as a line of so many bytes a second.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from chaos.upstream.running import Child, obey
from chaos.upstream.wire import BUFFER_BYTES, Listener, Wire

STEP_SECONDS = 0.05


@contextmanager
def running(
    to: str,
    cut_after: float,
    *,
    reset: bool = False,
    however_busy: bool = False,
    rate: int | None = None,
    port: int = 0,
) -> Iterator[str]:
    """Run a proxy to a server's URL, and yield its own. reset: cut by RST, not by the ordinary end.

    port: to listen on, so that a later proxy takes the place of an earlier one.
    """
    target = urlsplit(to)
    carrier = Carrier(str(target.hostname), target.port or 80, cut_after, reset, however_busy, rate)
    child = Child(serve, carrier, port)
    try:
        yield child.url
    finally:
        child.end()


async def serve(connection: Connection, carrier: "Carrier", port: int) -> None:
    listener = Listener("127.0.0.1", port, carrier.talk)
    await listener.open()
    connection.send(listener.url)
    await obey(connection, carrier)


@dataclass(frozen=True)
class Carrier:
    """Carries connections to a host and port; impatient after so many seconds, as ``running`` says."""

    host: str
    port: int
    seconds: float
    reset: bool
    however_busy: bool
    rate: int | None

    async def talk(self, client: Wire) -> None:
        try:
            server = Wire(*await asyncio.open_connection(self.host, self.port))
        except OSError:
            client.reset()
            return
        try:
            async with asyncio.timeout(self.seconds) as patience, asyncio.TaskGroup() as both:
                both.create_task(self._carry(client, server, patience, self.rate))
                both.create_task(self._carry(server, client, patience, None))
        except* TimeoutError:
            if self.reset:
                client.reset()
        except* ConnectionError:  # a reset stays a reset on the other side
            client.reset()
            server.reset()
        finally:
            server.writer.close()

    async def _carry(self, source: Wire, target: Wire, patience: asyncio.Timeout, rate: int | None) -> None:
        at_once = max(1, int(rate * STEP_SECONDS)) if rate else BUFFER_BYTES
        while some := await source.reader.read(at_once):
            if not self.however_busy:
                patience.reschedule(asyncio.get_running_loop().time() + self.seconds)
            target.writer.write(some)
            await target.writer.drain()
            if rate:
                await asyncio.sleep(len(some) / rate)
        with suppress(OSError):  # the other side has hung up already
            target.writer.write_eof()
