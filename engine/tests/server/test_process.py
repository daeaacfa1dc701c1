"""The engine as it runs: gunicorn, its own process, a Unix socket."""

import io
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.config import ROOT, Config
from engine.tests.conftest import KNOWN, REMOVE, auth, engine_process, photo, upload, wait_until_ready
from pixian.client.client import Client
from pixian.protocol.credentials import Credentials

TOO_LARGE = b"\0" * 40_000_000


def environment(config: Config) -> dict[str, str]:
    return os.environ | {
        "DATA_DIR": str(config.data_dir),
        "MODELS_DIR": str(config.models_dir),
        "ENGINE_MODEL": "fast",
        "ENGINE_API_ID": KNOWN.api_id,
        "ENGINE_API_SECRET": KNOWN.api_secret,
        "ENGINE_CREDITS_PER_MEGAPIXEL": "2.5",
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Config]:
    """A running engine. A path of its own, since pytest's may be too long for a socket."""
    config = Config(tmp_path_factory.mktemp("e"), models_dir)
    # What a killed engine leaves behind doesn't keep the next one from starting.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(config.socket))
    with engine_process(environment(config)), over_socket(config) as client:
        wait_until_ready(config.socket)
        assert client.get("/healthz").status_code == 200
        yield config


def over_socket(config: Config) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(config.socket))
    return httpx.Client(base_url="http://engine", transport=transport, auth=auth(KNOWN), timeout=60)


def test_the_contracts_client_reaches_it(running: Config) -> None:
    transport = httpx.HTTPTransport(uds=str(running.socket))
    with (
        Client("http://engine", KNOWN, transport=transport) as client,
        client.remove_background(io.BytesIO(photo("chelsea")), "cat.jpg", {}) as answer,
    ):
        assert (answer.status, answer.header("X-Credits-Charged")) == (200, "0.338250")
        assert b"".join(answer.stream()).startswith(b"\x89PNG")


def test_only_its_owner_reaches_the_socket(running: Config) -> None:
    assert stat.S_IMODE(running.socket.stat().st_mode) & 0o077 == 0


def test_a_refusal_is_heard_while_still_sending(running: Config) -> None:
    with over_socket(running) as client:
        small = client.post(REMOVE, files=upload(TOO_LARGE[:30_000_000]), auth=("a", "b"))
        large = client.post(REMOVE, files=upload(TOO_LARGE))

    assert (small.status_code, small.json()["error"]["code"]) == (401, 1001)
    assert (large.status_code, large.json()["error"]["code"]) == (413, 1012)


def test_a_second_engine_leaves_the_first_alone(running: Config) -> None:
    with engine_process(environment(running)) as second:
        _, said = second.communicate(timeout=30)

    assert second.returncode == 1
    assert b"already listens" in said
    with over_socket(running) as client:
        assert client.get("/healthz").status_code == 200


def test_it_stops_quickly_and_leaves_no_socket(tmp_path: Path, models_dir: Path) -> None:
    config = Config(tmp_path, models_dir)
    with engine_process(environment(config)) as process, over_socket(config) as client:
        wait_until_ready(config.socket)
        assert client.get("/healthz").status_code == 200
        started = time.monotonic()
        process.terminate()
        _, said = process.communicate(timeout=30)

    assert time.monotonic() - started < 5
    assert said == b""
    assert not config.socket.exists()


def test_without_weights_it_says_so_and_ends(tmp_path: Path) -> None:
    with engine_process(environment(Config(tmp_path, tmp_path))) as process:
        _, said = process.communicate(timeout=30)

    assert process.returncode != 0
    assert b"run `python -m engine.models.download fast`" in said


def test_plain_gunicorn_serves_it_with_credentials_of_its_own(tmp_path: Path, models_dir: Path) -> None:
    path = tmp_path / "plain.sock"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--no-control-socket",
        "--bind",
        f"unix:{path}",
        "engine.wsgi",
    ]
    own = environment(Config(tmp_path, models_dir)) | {"ENGINE_API_ID": "", "ENGINE_API_SECRET": ""}
    with subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(
                base_url="http://engine", transport=httpx.HTTPTransport(uds=str(path))
            ) as client:
                wait_until_ready(path)
                assert client.get("/healthz").status_code == 200
                api_id, _, api_secret = (tmp_path / "engine-credentials").read_text().partition(":")
                made = Credentials(api_id, api_secret)
                answer = client.post(REMOVE, files=upload(photo("chelsea")), auth=auth(made), timeout=60)
        finally:
            process.terminate()

    assert answer.status_code == 200
