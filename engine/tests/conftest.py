"""Real weights, real photos, the application in this process and a real engine process."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest

from engine.config import ROOT, Config
from engine.models import catalog as models
from engine.models import download
from engine.pipeline import inference
from engine.pipeline.matting import Matting
from engine.server.app import create_application
from pixian.protocol.credentials import Credentials

PHOTOS = Path(__file__).parent / "photos"
KNOWN = Credentials("pxtest000000000", "0" * 52)
REMOVE = "/api/v2/remove-background"


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The project's own models folder, both built-in networks in it."""
    for model in models.BUILT_IN.values():
        download.put_in_place(model, ROOT / "models")
    return ROOT / "models"


@pytest.fixture(scope="session")
def matter(models_dir: Path) -> Matting:
    fast = models.BUILT_IN["fast"]
    return Matting(fast, inference.load(fast.path(models_dir)))


@pytest.fixture
def config(tmp_path: Path, models_dir: Path) -> Config:
    return Config(tmp_path, models_dir, "fast", KNOWN.api_id, KNOWN.api_secret)


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> WSGIApplication:
    """The application with the fast network; one credit a megapixel."""
    data_dir = tmp_path_factory.mktemp("engine")
    return create_application(Config(data_dir, models_dir, "fast", KNOWN.api_id, KNOWN.api_secret))


@pytest.fixture
def http(application: WSGIApplication) -> Iterator[httpx.Client]:
    """A client of the application in this process, with valid credentials."""
    transport = httpx.WSGITransport(application)
    with httpx.Client(base_url="http://engine", transport=transport, auth=auth(KNOWN)) as client:
        yield client


def auth(credentials: Credentials) -> tuple[str, str]:
    return credentials.api_id, credentials.api_secret


def photo(name: str) -> bytes:
    return (PHOTOS / f"{name}.jpg").read_bytes()


def upload(content: bytes, name: str = "photo.jpg") -> dict[str, Any]:
    return {"image": (name, content)}


def refusal(answer: httpx.Response) -> tuple[int, int]:
    """Status and code of an answer in the contract's envelope."""
    error = answer.json()["error"]
    assert answer.headers["Content-Type"] == "application/json"
    assert error["status"] == answer.status_code
    assert error["message"]
    assert not [name for name in answer.headers if name.startswith("x-credits")]
    return answer.status_code, error["code"]


@contextmanager
def engine_process(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real engine, started as the Procfile does; ended by SIGTERM."""
    command = [sys.executable, "-m", "gunicorn", "-c", "engine/gunicorn.py", "engine.wsgi"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_until_ready(path: Path, seconds: float = 30) -> None:
    """Until the socket at ``path`` is listened at; what is sent then waits until the network is loaded."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise AssertionError("The engine didn't come up")
