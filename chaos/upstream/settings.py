"""The command line of the upstream."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from chaos.upstream.choice import Mix, parse_mix
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import parse_credits

KNOWN = Credentials("px0123456789abc", "0" * 52)
OPENING_CREDITS = "1000000"


@dataclass(frozen=True)
class Settings:
    """delay: seconds before each answer that takes work, not scaled. scale: of the faults' own times.
    microcredits: a fixed price, None where pixels make it. result_bytes: a result's least size."""

    log: Path
    bind: str
    port: int
    control_port: int
    credentials: Credentials
    seed: int
    mix: Mix
    delay: float
    scale: float
    fsync: bool
    microcredits: int | None
    microcredits_per_megapixel: int
    opening_microcredits: int
    result_bytes: int

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Self:
        """Ends the process with a message where the arguments can't be used."""
        return cls(**vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos.upstream", description="--faults alone lists what --mix may name."
    )
    add = parser.add_argument
    add("--log", type=Path, required=True, help="the witness; an existing one is gone on from")
    add("--bind", default="127.0.0.1", metavar="ADDRESS")
    add("--port", type=int, default=0, help="0 (the default): a free one")
    add("--control-port", type=int, default=0)
    add("--credentials", type=_credentials, default=KNOWN, metavar="ID:SECRET")
    add("--seed", type=int, default=0)
    add("--mix", type=parse_mix, default=(("ok", 1),), help="for example ok=80,slow_down=5,hang_up=1")
    add("--delay", type=float, default=0, help="seconds before each answer that takes work")
    add("--scale", type=float, default=1, help="multiplies the faults' own seconds")
    add("--no-fsync", dest="fsync", action="store_false", help="for benchmarks")
    price = partial(add, type=parse_credits, metavar="CREDITS")
    price("--credits", dest="microcredits", help="a fixed price")
    price("--credits-per-megapixel", dest="microcredits_per_megapixel", default="1", help="1 without it")
    price(
        "--opening", dest="opening_microcredits", default=OPENING_CREDITS, help="the account's first balance"
    )
    add("--result-bytes", type=int, default=0, help="each result has at least so many")
    return parser


def _credentials(text: str) -> Credentials:
    api_id, colon, api_secret = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("an Id and a secret with a colon between")
    return Credentials(api_id, api_secret)
