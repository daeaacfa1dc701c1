"""Real weights and photos, the application in this process, and a real engine process."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
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

try:
    import openvino
except ImportError:
    openvino = None

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
def quick_models_dir(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the network *quick*, for tests that are about anything but the matte.

    It has the fast network's weights at an input of 128 × 128 pixels instead of 320 × 320, so that an
    inference takes a sixth of the CPU. It still finds the cup in *coffee*.
    """
    folder, fast, side = tmp_path_factory.mktemp("models"), models.BUILT_IN["fast"], 128
    weights = folder / "quick.xml"
    if openvino is None:
        # Only OpenVINO can reshape a network and store it, and the tests pass with the fast one as well.
        weights, side = folder / fast.file, fast.input_size
        weights.symlink_to(fast.path(models_dir))
    else:
        network = openvino.Core().read_model(fast.path(models_dir))
        network.reshape([1, 3, side, side])
        openvino.serialize(network, weights)
    with weights.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    record = {"file": weights.name, "sha256": digest, "input_size": side, "mean": fast.mean, "std": fast.std}
    (folder / "quick.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="session")
def matting(models_dir: Path) -> Matting:
    fast = models.BUILT_IN["fast"]
    return Matting(fast, inference.load(fast.path(models_dir)))


@pytest.fixture(scope="session")
def quick_matting(quick_models_dir: Path) -> Matting:
    quick = models.find("quick", quick_models_dir)
    return Matting(quick, inference.load(quick.path(quick_models_dir)))


@pytest.fixture
def config(tmp_path: Path, models_dir: Path) -> Config:
    return Config(tmp_path, models_dir, "fast", KNOWN.api_id, KNOWN.api_secret)


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory, quick_models_dir: Path) -> WSGIApplication:
    """The application with the quick network; one credit a megapixel."""
    data_dir = tmp_path_factory.mktemp("engine")
    return create_application(Config(data_dir, quick_models_dir, "quick", KNOWN.api_id, KNOWN.api_secret))


@pytest.fixture
def http(application: WSGIApplication) -> Iterator[httpx.Client]:
    """Return a client of the application in this process, with valid credentials."""
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
    """Return status and code of an error response, after checking the contract's envelope."""
    error = answer.json()["error"]
    assert answer.headers["Content-Type"] == "application/json"
    assert error["status"] == answer.status_code
    assert error["message"]
    assert not [name for name in answer.headers if name.startswith("x-credits")]
    return answer.status_code, error["code"]


@contextmanager
def engine_process(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a real engine as the Procfile does, and end it by SIGTERM."""
    command = [sys.executable, "-m", "gunicorn", "-c", "engine/gunicorn.py", "engine.wsgi"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_until_ready(path: Path, seconds: float = 30) -> None:
    """Wait until the engine listens at ``path``; a request sent then waits until the network is loaded."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise AssertionError("The engine didn't come up")
