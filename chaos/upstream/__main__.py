"""``python -m chaos.upstream --log FILE``: prints one line of JSON when it listens, ends on SIGTERM."""

import argparse
import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from chaos.upstream.faults import parse_mix, table
from chaos.upstream.journal import Journal
from chaos.upstream.running import announce, until_ended
from chaos.upstream.server import KNOWN, Control, Settings, Upstream
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import parse_credits


def main() -> None:
    options = vars(_parser().parse_args())
    if options.pop("faults"):
        sys.stdout.write(f"{table()}\n")
        return
    if not options["log"]:
        sys.exit("--log says where to write the journal")
    try:
        asyncio.run(serve(**options))
    except BlockingIOError:
        sys.exit(f"{options['log']} is written by another process")


async def serve(log: Path, *, fsync: bool, control_port: int, **settings: Any) -> None:
    with closing(Journal(log, fsync=fsync)) as journal:
        upstream = Upstream(Settings(**settings), journal)
        control = Control(upstream, control_port)
        await upstream.listener.open()
        await control.listener.open()
        announce(url=upstream.listener.url, control=control.listener.url)
        await until_ended()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos.upstream", description=__doc__)
    add, price = parser.add_argument, {"type": parse_credits, "metavar": "CREDITS"}
    add("--faults", action="store_true", help="list what --mix may name, and exit")
    add("--log", type=Path, help="the journal; an existing one is continued")
    add("--bind", default="127.0.0.1", metavar="ADDRESS")
    add("--port", type=int, default=0, help="0 (the default): a free one")
    add("--control-port", type=int, default=0)
    add("--credentials", type=_credentials, default=KNOWN, metavar="ID:SECRET")
    add("--seed", type=int, default=0)
    add("--mix", type=parse_mix, default=Settings.mix, help="for example ok=80,slow_down=5,hang_up=1")
    add("--delay", type=float, default=0, help="seconds before each response that takes work")
    add("--scale", type=float, default=1, help="multiplies the faults' own seconds")
    add("--no-fsync", dest="fsync", action="store_false", help="for benchmarks")
    add("--credits", dest="microcredits", help="a fixed price", **price)  # type: ignore[arg-type]
    add("--credits-per-megapixel", dest="microcredits_per_megapixel", default="1", **price)  # type: ignore[arg-type]
    add("--opening", dest="opening_microcredits", default="1000000", **price)  # type: ignore[arg-type]
    add("--result-bytes", type=int, default=0, help="each result has at least so many")
    return parser


def _credentials(text: str) -> Credentials:
    api_id, colon, api_secret = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("an Id and a secret with a colon between them")
    return Credentials(api_id, api_secret)


if __name__ == "__main__":
    main()
