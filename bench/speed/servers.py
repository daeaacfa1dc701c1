"""Both servers as a user starts them, each in a process of its own, and what their memory does."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.quality import baseline
from engine.config import ROOT, Config
from pixian.client.client import API_PATH
from pixian.protocol.credentials import Credentials

KNOWN = Credentials("pxbench00000000", "0" * 52)
SAMPLE_SECONDS = 0.05
PATIENCE_SECONDS = 120


@dataclass
class Server:
    """A running server. cut_out: sends a picture's bytes, returns how many bytes came back."""

    name: str
    pid: int
    cut_out: Callable[[bytes], int]
    peak_bytes: int = field(default=0, init=False)

    def resident_bytes(self) -> int:
        """Return the memory that the process and its descendants hold now."""
        return sum(_resident(pid) for pid in _tree(self.pid))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile ``peak_bytes`` follows the largest sum that was seen."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(SAMPLE_SECONDS):
                self.peak_bytes = max(self.peak_bytes, self.resident_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


@contextmanager
def ours(model: str, models_dir: Path) -> Iterator[Server]:
    """Start the engine as the Procfile does."""
    with tempfile.TemporaryDirectory(prefix="bench") as data_dir:
        config = Config(Path(data_dir), models_dir)
        environment = os.environ | {
            "DATA_DIR": data_dir,
            "MODELS_DIR": str(models_dir),
            "ENGINE_MODEL": model,
            "ENGINE_API_ID": KNOWN.api_id,
            "ENGINE_API_SECRET": KNOWN.api_secret,
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "engine/gunicorn.py", "engine.wsgi"]

        def cut_out(picture: bytes) -> int:
            transport = httpx.HTTPTransport(uds=str(config.socket))
            url, files = f"http://engine{API_PATH}/remove-background", {"image": ("photo.jpg", picture)}
            with httpx.Client(transport=transport, timeout=300) as client:
                auth = KNOWN.api_id, KNOWN.api_secret
                return len(client.post(url, files=files, auth=auth).raise_for_status().content)

        with _running(command, environment) as process:
            yield _ready(Server("ours", process.pid, cut_out))


@contextmanager
def theirs(python: str, models_dir: Path) -> Iterator[Server]:
    """``rembg s``, with the same weights."""
    with baseline.weights_home(models_dir) as environment, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [str(Path(python).with_name("rembg")), "s", "--host", "127.0.0.1", "--port", str(port)]

        def cut_out(picture: bytes) -> int:
            url, data = f"http://127.0.0.1:{port}/api/remove", {"model": "u2net"}
            with httpx.Client(timeout=300, trust_env=False) as client:
                files = {"file": ("photo.jpg", picture, "image/jpeg")}
                return len(client.post(url, files=files, data=data).raise_for_status().content)

        with _running(command, environment) as process:
            yield _ready(Server("rembg", process.pid, cut_out))


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(server: Server) -> Server:
    """Yield the server once it has cut out a first picture and so has loaded its network."""
    picture = next((ROOT / "engine" / "tests" / "photos").glob("*.jpg")).read_bytes()
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            server.cut_out(picture)
            return server
        time.sleep(0.2)
    raise TimeoutError(f"{server.name} didn't come up in {PATIENCE_SECONDS} s")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield from _tree(int(child))


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        # It ended between two looks.
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
