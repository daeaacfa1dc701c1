"""Every setting of the embedded engine, from the environment or ``.env``.

Django's settings read it too, to know the socket and the credentials, so nothing heavy is imported.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Self

import environ

from engine.environment import ConfigError, Environment
from pixian.protocol.credentials import Credentials, kept_secret
from pixian.protocol.credits import UnreadableCreditsError, is_finer, parse_credits
from pixian.server.ssrf import Network
from pixian.server.url_fetcher import PORTS

ROOT = Path(__file__).resolve().parent.parent
MAX_PORT = 65535
MAX_SOCKET_PATH_BYTES = 100
"""Linux ends a Unix socket's path at 108 bytes, other systems at 104, the closing zero included."""


@dataclass(frozen=True)
class Config:
    """What an engine process needs to know. Reading it touches no file but ``.env``.

    data_dir: absolute; the socket, generated credentials and caches are kept in it.
    models_dir: absolute; the weights lie in it.
    model: name of the model that is served, as ``engine.models.catalog.find`` knows it.
    microcredits_per_megapixel: price of 10^6 processed pixels.
    queue: calls inside at once, at work or waiting; the next one is asked to slow down.
    timeout: seconds that a call waits for its turn; below the 180 s that clients allow.
    fetch_networks, fetch_ports: see ``pixian.server.url_fetcher.Fetcher``.
    """

    data_dir: Path
    models_dir: Path
    model: str = "standard"
    api_id: str = ""
    api_secret: str = field(default="", repr=False)
    microcredits_per_megapixel: int = 1_000_000
    queue: int = 16
    timeout: float = 150
    fetch_networks: tuple[Network, ...] = ()
    fetch_ports: frozenset[int] = PORTS

    @classmethod
    def from_env(cls, env_file: Path = ROOT / ".env") -> Self:
        """The settings in force; the environment wins over ``env_file``. Raises ConfigError."""
        environ.Env.read_env(env_file)
        env = Environment()
        return cls(
            data_dir=_folder(env.text("DATA_DIR", default="data")),
            models_dir=_folder(env.text("MODELS_DIR", default="models")),
            model=env.text("ENGINE_MODEL", default="standard"),
            api_id=env.text("ENGINE_API_ID", default=""),
            api_secret=env.text("ENGINE_API_SECRET", default=""),
            microcredits_per_megapixel=_price(env.text("ENGINE_CREDITS_PER_MEGAPIXEL", default="1")),
            queue=env.integer("ENGINE_QUEUE", cls.queue, low=1),
            timeout=env.number("ENGINE_TIMEOUT", cls.timeout),
            fetch_networks=_networks(env.items("FETCH_NETWORKS")),
            fetch_ports=_ports(env.items("FETCH_PORTS", ",".join(map(str, sorted(PORTS))))),
        )

    @cached_property
    def credentials(self) -> Credentials:
        """The configured Id and secret, or those generated once and kept in the data folder."""
        if bool(self.api_id) != bool(self.api_secret):
            raise ConfigError("ENGINE_API_ID and ENGINE_API_SECRET belong together: set both or neither")
        if self.api_id:
            return Credentials(self.api_id, self.api_secret)
        kept = kept_secret(self.data_dir / "engine-credentials", _new_credentials)
        api_id, _, api_secret = kept.strip().partition(":")
        return Credentials(api_id, api_secret)

    @property
    def socket(self) -> Path:
        """Where the engine listens; raises ConfigError where a socket's path can't be that long."""
        path = self.data_dir / "engine.sock"
        length = len(os.fsencode(path))
        if length > MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"{path} has {length} bytes, but a socket's path may have {MAX_SOCKET_PATH_BYTES}: "
                "set DATA_DIR to a folder with a shorter path"
            )
        return path


def _folder(text: str) -> Path:
    return ROOT / Path(text).expanduser()


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(f"FETCH_NETWORKS must be networks such as 10.1.0.0/16: {error}") from error


def _ports(texts: list[str]) -> frozenset[int]:
    for text in texts:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_PORT):
            raise ConfigError(f"FETCH_PORTS names {text!r}; ports are numbers from 1 to {MAX_PORT}")
    return frozenset(map(int, texts))


def _new_credentials() -> str:
    made = Credentials.generate()
    return f"{made.api_id}:{made.api_secret}"


def _price(text: str) -> int:
    with suppress(UnreadableCreditsError):
        price = parse_credits(text)
        if not is_finer(text):
            return price
    raise ConfigError(
        f"ENGINE_CREDITS_PER_MEGAPIXEL is {text!r}; it must be a number from 0, with at most six decimals"
    )
