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
from tests.site.instance import begin, output

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_SECONDS = 120


@dataclass(frozen=True)
class WebAlone:
    """A running web process, and the settings for others that work on its data."""

    pid: int
    url: str
    env: dict[str, str]

    def run(self, *command: str) -> str:
        """Return what a Python command prints."""
        return output(self.env, *command).strip()

    def sign_in(self) -> str:
        """Return the cookies of the instance's owner, signed in."""
        link = urlsplit(self.run("manage.py", "login_link", "owner@localhost"))
        with httpx.Client(trust_env=False, follow_redirects=True) as client:
            client.get(self.url + link.path).raise_for_status()
            return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[WebAlone]:
    """Start a web process on a free port, with these settings besides."""
    port = free_port()
    own = {"DATA_DIR": str(data_dir), "PORT": str(port), "LOG_LEVEL": "WARNING"}
    env = os.environ | own | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"} | settings
    begin(data_dir)
    output(env, "manage.py", "prepare")
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
