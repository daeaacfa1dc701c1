"""The settings of the embedded engine, from the environment or ``.env``.

Django's settings import this module too, for the socket and the credentials, so it imports nothing heavy.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from engine.environment import ConfigError, Environment
from pixian.protocol.credentials import Credentials, load_or_create_secret
from pixian.protocol.credits import UnreadableCreditsError, is_finer, parse_credits
from pixian.server.ssrf import Network
from pixian.server.url_fetcher import PORTS

ROOT = Path(__file__).resolve().parent.parent
MAX_PORT = 65535
MAX_SOCKET_PATH_BYTES = 100
"""The path of a Unix socket can have 108 bytes on Linux and 104 on other systems, including the final NUL."""


@dataclass(frozen=True)
class Config:
    """The configuration of an engine process. Reading it touches no file but ``.env``.

    data_dir: absolute path of the folder for the socket, generated credentials and caches.
    models_dir: absolute path of the folder with the weights.
    model: name of the model to serve, as ``engine.models.catalog.find`` knows it.
    microcredits_per_megapixel: price of 10^6 processed pixels.
    queue: maximum number of calls at work or waiting; a further one gets 429.
    timeout: seconds that a call waits for its turn; below the 180 s that clients wait.
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
        """Read the settings; the environment wins over ``env_file``. Raises ConfigError."""
        Environment.read_file(env_file)
        env = Environment()
        return cls(
            data_dir=_folder(env.text("DATA_DIR", default="data")),
            models_dir=_folder(env.text("MODELS_DIR", default="models")),
            model=env.text("ENGINE_MODEL", default="standard"),
            api_id=env.identifier("ENGINE_API_ID"),
            api_secret=env.secret("ENGINE_API_SECRET"),
            microcredits_per_megapixel=_price(env.text("ENGINE_CREDITS_PER_MEGAPIXEL", default="1")),
            queue=env.integer("ENGINE_QUEUE", cls.queue, low=1),
            timeout=env.number("ENGINE_TIMEOUT", cls.timeout),
            fetch_networks=_networks(env.items("FETCH_NETWORKS")),
            fetch_ports=_ports(env.items("FETCH_PORTS", ",".join(map(str, sorted(PORTS))))),
        )

    @cached_property
    def credentials(self) -> Credentials:
        """Return the configured Id and secret, or a pair generated once and stored in the data folder."""
        if bool(self.api_id) != bool(self.api_secret):
            raise ConfigError("ENGINE_API_ID and ENGINE_API_SECRET belong together: set both or neither")
        if self.api_id:
            return Credentials(self.api_id, self.api_secret)
        stored = load_or_create_secret(self.data_dir / "engine-credentials", _new_credentials)
        api_id, _, api_secret = stored.strip().partition(":")
        return Credentials(api_id, api_secret)

    @property
    def socket(self) -> Path:
        """Return the path of the engine's Unix socket; raise ConfigError if it is too long for one."""
        path = self.data_dir / "engine.sock"
        length = len(os.fsencode(path))
        if length > MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"The socket's path {path} is {length} bytes long; the limit is {MAX_SOCKET_PATH_BYTES}. "
                "Set DATA_DIR to a folder with a shorter path"
            )
        return path


def _folder(text: str) -> Path:
    return ROOT / Path(text).expanduser()


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(
            f"FETCH_NETWORKS must be a list of networks such as 10.1.0.0/16: {error}"
        ) from error


def _ports(texts: list[str]) -> frozenset[int]:
    for text in texts:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_PORT):
            raise ConfigError(f"FETCH_PORTS names {text!r}; ports are numbers from 1 to {MAX_PORT}")
    return frozenset(map(int, texts))


def _new_credentials() -> str:
    credentials = Credentials.generate()
    return f"{credentials.api_id}:{credentials.api_secret}"


def _price(text: str) -> int:
    with suppress(UnreadableCreditsError):
        price = parse_credits(text)
        if not is_finer(text):
            return price
    raise ConfigError(
        f"ENGINE_CREDITS_PER_MEGAPIXEL is {text!r}; it must be 0 or more, with at most six decimals"
    )
