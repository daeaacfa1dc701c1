"""E21: the engine, as a process of its own, speaks the contract."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.tests.conftest import KNOWN, engine_process, wait_until_ready
from pixian.tests.contract.pages import web
from pixian.tests.contract.service import Service, Web
from pixian.tests.contract.suite import *  # noqa: F403

__all__ = ["web"]


@pytest.fixture(scope="module")
def settings_of_engine(
    web: Web, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An engine that may reach the test's own web server besides public addresses."""
    return {
        "DATA_DIR": str(tmp_path_factory.mktemp("c")),
        "MODELS_DIR": str(models_dir),
        "ENGINE_MODEL": "fast",
        "ENGINE_API_ID": KNOWN.api_id,
        "ENGINE_API_SECRET": KNOWN.api_secret,
        "FETCH_NETWORKS": "127.0.0.0/8",
        "FETCH_PORTS": f"{web.url.rpartition(':')[2]},80,443",
    }


@pytest.fixture(scope="module")
def gunicorn(settings_of_engine: dict[str, str]) -> Iterator[httpx.BaseTransport]:
    path = Path(settings_of_engine["DATA_DIR"]) / "engine.sock"
    with engine_process(os.environ | settings_of_engine):
        wait_until_ready(path)
        with httpx.HTTPTransport(uds=str(path)) as transport:
            yield transport


@pytest.fixture
def service(gunicorn: httpx.BaseTransport, web: Web) -> Iterator[Service]:
    web.pages.clear()
    with httpx.Client(base_url="http://engine", transport=Unclosed(gunicorn), timeout=60) as http:
        yield Service(http, KNOWN, web)


class Unclosed(httpx.BaseTransport):
    """A transport that outlives the clients that use it."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self.handle_request = transport.handle_request  # type: ignore[method-assign]
