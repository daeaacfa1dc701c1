"""``python -m chaos.proxy --to HOST:PORT --cut-after SECONDS``: a proxy that loses patience.

It passes bytes on both ways and cuts a connection on which none has moved for so long; with
``--however-busy``, one that was opened so long ago. The server behind it goes on working and hears nothing of
it but a closed connection. ``--rate`` makes it as slow for what clients send as a line of so many bytes a
second.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from chaos.upstream.running import announce, end, start, until_ended
from chaos.upstream.wire import BUFFER_BYTES, Listener, Wire

MODULE = "chaos.proxy"
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
    """Run a proxy to a server's URL, and yield its own.

    reset: cut by RST, not by the ordinary end. however_busy: cut what was opened so long ago. rate: how
    many bytes a second a client can send on a connection. port: to listen on, so that a later proxy takes the
    place of an earlier one.
    """
    arguments = [f"--to={urlsplit(to).netloc}", f"--cut-after={cut_after}", f"--port={port}"]
    arguments += ["--reset"] if reset else []
    arguments += ["--however-busy"] if however_busy else []
    arguments += [f"--rate={rate}"] if rate else []
    child, told = start(MODULE, arguments)
    try:
        yield told["url"]
    finally:
        end(child)


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


async def serve(options: argparse.Namespace) -> None:
    host, _, port = options.to.rpartition(":")
    carrier = Carrier(host, int(port), options.cut_after, options.reset, options.however_busy, options.rate)
    listener = Listener("127.0.0.1", options.port, carrier.talk)
    await listener.open()
    announce(url=listener.url)
    await until_ended()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--cut-after", type=float, required=True, metavar="SECONDS", help="without a byte")
    parser.add_argument("--however-busy", action="store_true", help="seconds since it was opened instead")
    parser.add_argument("--rate", type=int, metavar="BYTES", help="that a client can send a second")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--reset", action="store_true", help="cut by RST")
    asyncio.run(serve(parser.parse_args()))
