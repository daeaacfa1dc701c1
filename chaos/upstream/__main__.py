"""``python -m chaos.upstream --log FILE``: prints one line of JSON when it listens, ends on SIGTERM."""

import asyncio
import sys
from collections.abc import Sequence

from chaos.upstream.control import Control
from chaos.upstream.door import Door
from chaos.upstream.faults import table
from chaos.upstream.journal import Journal
from chaos.upstream.process import announce, until_ended
from chaos.upstream.server import Upstream
from chaos.upstream.settings import Settings


async def serve(settings: Settings) -> None:
    with Journal(settings.log, fsync=settings.fsync) as journal:
        upstream = Upstream(settings, journal)
        control = Door(settings.bind, settings.control_port, Control(upstream, journal).talk)
        await upstream.door.open()
        await control.open()
        announce(url=upstream.door.url, control=control.url)
        await until_ended()


def main(arguments: Sequence[str]) -> None:
    if list(arguments) == ["--faults"]:
        sys.stdout.write(f"{table()}\n")
        return
    settings = Settings.parse(arguments)
    try:
        asyncio.run(serve(settings))
    except BlockingIOError:
        sys.exit(f"{settings.log} is written by another process")


if __name__ == "__main__":
    main(sys.argv[1:])
