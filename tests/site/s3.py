"""OpenStack Swift as a private S3 server for tests; see ``chaos.servers``."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import httpx

from chaos.servers import NotStartedError, Server, free_port, server_folder

SWIFT_SERVER = Path(__file__).with_name("swift_server.py")
SWIFT_PYTHON = SWIFT_SERVER.parents[2] / ".venv-swift/bin/python"


class Swift(Server):
    """Its files survive a kill."""

    access_key: ClassVar = "test:tester"
    secret_key: ClassVar = "testing"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return bool(httpx.get(self.url, timeout=2, trust_env=False).status_code)
        return False


def swift_lacks() -> str | None:
    """Say in one sentence why Swift can't be started here; None if it can."""
    if not SWIFT_PYTHON.parents[1].joinpath(".done").exists():
        return "Swift isn't installed in .venv-swift (`make servers` installs it)."
    try:
        with tempfile.NamedTemporaryFile() as file:
            os.setxattr(file.name, "user.swift", b"1")
    except OSError:
        return f"Swift needs extended attributes, which {tempfile.gettempdir()} doesn't have."
    return None


@contextmanager
def swift() -> Iterator[Swift]:
    """Run an empty Swift; raises NotStartedError."""
    if lacks := swift_lacks():
        raise NotStartedError(lacks)
    with server_folder(None) as folder:
        port = free_port()
        command = [str(SWIFT_PYTHON), str(SWIFT_SERVER), str(folder), str(port)]
        with Swift(folder, port, [*command, Swift.access_key, Swift.secret_key]) as server:
            yield server
