"""A fresh instance's web process, as the Procfile starts it, without a worker or an engine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from chaos.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class WebAlone:
    """A running web process, and the settings for others that work on its data."""

    pid: int
    url: str
    env: dict[str, str]

    def run(self, *command: str) -> str:
        """Return what a Python command prints."""
        whole = [sys.executable, *command]
        done = subprocess.run(whole, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()

    def sign_in(self) -> str:
        """Return the cookies of the instance's owner, signed in."""
        link = urlsplit(self.run("manage.py", "login_link", "owner@localhost"))
        with httpx.Client(trust_env=False, follow_redirects=True) as client:
            client.get(self.url + link.path).raise_for_status()
            return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def running(data_dir: Path) -> Iterator[WebAlone]:
    port = free_port()
    settings = {"DATA_DIR": str(data_dir), "PORT": str(port), "LOG_LEVEL": "WARNING"}
    env = os.environ | settings | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    quiet = subprocess.DEVNULL
    subprocess.run([sys.executable, "manage.py", "prepare"], cwd=ROOT, env=env, stdout=quiet, check=True)
    command = [sys.executable, "-m", "gunicorn", "-c", "pixian_web/gunicorn.py", "pixian_web.wsgi"]
    with subprocess.Popen(command, cwd=ROOT, env=env) as process:
        try:
            web = WebAlone(process.pid, f"http://127.0.0.1:{port}", env)
            _wait_until_up(web.url)
            yield web
        finally:
            process.terminate()


def _wait_until_up(url: str) -> None:
    end = time.monotonic() + UP_WITHIN_SECONDS
    while time.monotonic() < end:
        try:
            return httpx.get(f"{url}/healthz", trust_env=False).raise_for_status().close()
        except httpx.HTTPError:
            time.sleep(0.1)
    raise TimeoutError(url)
