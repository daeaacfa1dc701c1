"""Told to end, the web process finishes programs' calls: one that is cut off is paid for, and in doubt."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chaos import upstream
from chaos.servers import free_port
from conftest import small_png
from pixian_web import gunicorn
from pixian_web.settings import PIXIAN_TIMEOUT
from tests.site.instance import ROOT, Instance, begin

CALL_SECONDS = 3
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def slow() -> Iterator[upstream.Server]:
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as folder,
        upstream.running(Path(folder) / "log", delay=CALL_SECONDS) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def instance(slow: upstream.Server, tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """Prepare an instance that pays this upstream, without starting it."""
    data_dir = tmp_path_factory.mktemp("web")
    account = {"PIXIAN_API_ID": slow.credentials.api_id, "PIXIAN_API_SECRET": slow.credentials.api_secret}
    env = os.environ | account | {"DATA_DIR": str(data_dir), "PIXIAN_API_URL": slow.url}
    instance = Instance(data_dir, "", "", env)
    begin(data_dir)
    instance.manage("prepare")
    return instance


@contextmanager
def web(instance: Instance, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Start the web process, as the Procfile does, and yield it with its address."""
    url = f"127.0.0.1:{free_port()}"
    program = str(Path(sys.executable).with_name("gunicorn"))
    command = [program, "-c", "pixian_web/gunicorn.py", "--bind", url, *options, "pixian_web.wsgi"]
    with subprocess.Popen(command, cwd=ROOT, env=instance.env) as process:
        try:
            wait_for(lambda: httpx.get(f"http://{url}/healthz", trust_env=False).is_success)
            yield process, f"http://{url}"
        finally:
            process.kill()


def wait_for(happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            if happened():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError


def stopped_amid_a_call(instance: Instance, slow: upstream.Server, *options: str) -> tuple[int, int]:
    """Return the program's status, 0 for none, and how the web process ended."""
    before = len(slow.log().calls)
    team = ("setup_team", f"Team {before}", "--owner", "a@example.org", "--credits", "9", "--api-key", "shop")
    key = json.loads(instance.manage(*team))

    def call(url: str) -> int:
        auth, files = (key["api_id"], key["api_secret"]), {"image": small_png(9, 9)}
        try:
            with httpx.Client(base_url=url, auth=auth, timeout=PATIENCE_SECONDS, trust_env=False) as http:
                return http.post("/api/v2/remove-background", files=files).status_code
        except httpx.TransportError:
            return 0

    with ThreadPoolExecutor(1) as pool, web(instance, *options) as (process, url):
        answer = pool.submit(call, url)
        wait_for(lambda: len(slow.log().calls) > before)
        process.send_signal(signal.SIGTERM)
        return answer.result(), process.wait(PATIENCE_SECONDS)


def test_told_to_end_it_finishes_the_call_in_hand(instance: Instance, slow: upstream.Server) -> None:
    assert stopped_amid_a_call(instance, slow) == (200, 0)
    assert gunicorn.graceful_timeout > PIXIAN_TIMEOUT


def test_a_call_that_is_not_waited_for_is_cut_off(instance: Instance, slow: upstream.Server) -> None:
    """The control."""
    assert stopped_amid_a_call(instance, slow, "--graceful-timeout", "1")[0] == 0
