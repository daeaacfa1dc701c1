"""``python -m chaos.proxy --to HOST:PORT --cut-after SECONDS``: a proxy that loses patience.

It passes bytes on both ways and cuts a connection on which none has moved for so long. What is waiting
behind it goes on working and hears nothing of it but a closed connection.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from chaos.upstream import process
from chaos.upstream.door import Door
from chaos.upstream.wire import BUFFER_BYTES, Wire

MODULE = "chaos.proxy"


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its address, and its process."""

    url: str
    pid: int


@contextmanager
def running(to: str, cut_after: float, *, reset: bool = False, prefix: Sequence[str] = ()) -> Iterator[Proxy]:
    """A proxy to a server's URL, ended when this is left. ``reset``: cuts by RST, not by the ordinary end."""
    arguments = [f"--to={urlsplit(to).netloc}", f"--cut-after={cut_after}", *(["--reset"] if reset else [])]
    child, told = process.start(MODULE, arguments, prefix)
    try:
        yield Proxy(told["url"], child.pid)
    finally:
        process.end(child)


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
            await self._between(client, server)
        except* TimeoutError:
            if self.reset:
                client.reset()
        except* ConnectionError:
            # A reset stays a reset on the other side.
            client.reset()
            server.reset()
        finally:
            server.writer.close()

    async def _between(self, client: Wire, server: Wire) -> None:
        async with asyncio.timeout(self.seconds) as patience, asyncio.TaskGroup() as both:
            both.create_task(self._carry(client, server, patience))
            both.create_task(self._carry(server, client, patience))

    async def _carry(self, source: Wire, target: Wire, patience: asyncio.Timeout) -> None:
        while some := await source.reader.read(BUFFER_BYTES):
            patience.reschedule(asyncio.get_running_loop().time() + self.seconds)
            target.writer.write(some)
            await target.writer.drain()
        target.writer.write_eof()


async def serve(arguments: argparse.Namespace) -> None:
    host, _, port = arguments.to.rpartition(":")
    carrier = Carrier(host, int(port), arguments.cut_after, arguments.reset)
    door = Door(arguments.bind, arguments.port, carrier.talk)
    await door.open()
    process.announce(url=door.url)
    await process.until_ended()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--cut-after", type=float, required=True, metavar="SECONDS", help="without a byte")
    parser.add_argument("--reset", action="store_true", help="cut by RST")
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
