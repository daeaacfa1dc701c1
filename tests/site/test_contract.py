"""E21: the gateway speaks the contract.

The engine's suite runs here against a whole instance over TCP, whose upstream is its own engine.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.tests.conftest import models_dir, quick_models_dir
from pixian.protocol.credentials import Credentials
from pixian.tests.contract.pages import web
from pixian.tests.contract.service import Service, Web
from pixian.tests.contract.suite import *  # noqa: F403
from tests.site.instance import Instance, running

__all__ = ["models_dir", "quick_models_dir", "web"]


@pytest.fixture(scope="module")
def gateway(web: Web, quick_models_dir: Path) -> Iterator[Instance]:
    settings = {
        "MODELS_DIR": str(quick_models_dir),
        "ENGINE_MODEL": "quick",
        "FETCH_NETWORKS": "127.0.0.0/8",
        "FETCH_PORTS": f"{web.url.rpartition(':')[2]},80,443",
        "API_CALLS_PER_KEY": "0",
        "API_CALLS_PER_TEAM": "0",
        "WEB_PROCESSES": "2",
    }
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as folder,
        running(Path(folder), **settings) as instance,
    ):
        yield instance


@pytest.fixture(scope="module")
def credentials(gateway: Instance) -> Credentials:
    command = (
        "setup_team",
        "Suite",
        "--owner",
        "suite@example.org",
        "--credits",
        "1000",
        "--api-key",
        "suite",
    )
    made = json.loads(gateway.manage(*command))
    return Credentials(made["api_id"], made["api_secret"])


@pytest.fixture(scope="module")
def http(gateway: Instance) -> Iterator[httpx.Client]:
    """Return a client that all tests share: to make one takes as much CPU as a call."""
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture
def service(http: httpx.Client, credentials: Credentials, web: Web) -> Service:
    web.pages.clear()
    http.cookies.clear()
    return Service(http, credentials, web)


def test_the_books_add_up_after_all_of_it(gateway: Instance) -> None:
    assert gateway.books_add_up()
