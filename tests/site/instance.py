"""A whole instance, as ``make run`` starts it: prepare, then web, worker and engine from the Procfile."""

import fcntl
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chaos.environment import TEMPLATES
from chaos.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_SECONDS = 120
OWNER = "owner@localhost"


@dataclass(frozen=True)
class Instance:
    """A running instance. ``link`` signs its owner in, once."""

    data_dir: Path
    url: str
    link: str
    env: dict[str, str]

    def manage(self, *args: str, **env: str) -> str:
        """Return the output of a management command, run with these settings changed."""
        return output(self.env | env, "manage.py", *args)

    def login_link(self) -> str:
        """Return a link that signs the owner in, once."""
        return self.manage("login_link", OWNER).strip()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read rows directly from the database, bypassing our code."""
        with closing(sqlite3.connect(self.data_dir / "db.sqlite3")) as database:
            return database.execute(query).fetchall()

    def books_add_up(self) -> bool:
        """Return True if all balances sum to zero and each equals its transfers."""
        (total,) = self.rows("SELECT SUM(balance_microcredits) FROM accounts_ledgeraccount")[0]
        wrong = self.rows(
            "SELECT a.id FROM accounts_ledgeraccount a WHERE a.balance_microcredits <> "
            "(SELECT COALESCE(SUM(amount_microcredits), 0) FROM accounts_transfer WHERE credit_id = a.id) - "
            "(SELECT COALESCE(SUM(amount_microcredits), 0) FROM accounts_transfer WHERE debit_id = a.id)"
        )
        return total == 0 and not wrong


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Instance]:
    """Start an instance on a free port, and end everything it started."""
    port = free_port()
    env = os.environ | {"DATA_DIR": str(data_dir), "PORT": str(port)} | settings
    begin(data_dir)
    printed = output(env, "manage.py", "prepare")
    link = re.search(r"http://\S+", printed)
    assert link, printed
    instance = Instance(data_dir, f"http://127.0.0.1:{port}", link.group(), env)
    honcho_starts = output(env, "-m", "pixian_web.processes").split()
    # On the Python that runs the tests, which `make test-newest` has in an environment of its own.
    programs = Path(sys.executable).parent
    procfile = data_dir / "Procfile"
    procfile.write_text((ROOT / "Procfile").read_text().replace(".venv/bin", str(programs)))
    command = [str(programs / "honcho"), "start", "--procfile", str(procfile), *honcho_starts]
    with (data_dir / "log").open("wb") as log:
        honcho = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_up(instance)
            yield instance
        finally:
            honcho.send_signal(signal.SIGINT)
            honcho.wait(30)


def begin(data_dir: Path) -> None:
    """Give an instance the migrated tables and the static files of this test run, which take ten seconds.

    Without a folder for templates, as in a benchmark, ``prepare`` makes them.
    """
    if not (templates := os.environ.get(TEMPLATES)):
        return
    template = Path(templates, "data")
    with Path(templates, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            making = template.with_name("making")
            env = os.environ | {"DATA_DIR": str(making)}
            output(env, "manage.py", "migrate", "-v0")
            output(env, "manage.py", "collectstatic", "-v0", "--no-input")
            making.rename(template)
    shutil.copytree(template, data_dir, dirs_exist_ok=True)


def output(env: Mapping[str, str], *command: str) -> str:
    """Return what a Python command prints."""
    whole = [sys.executable, *command]
    done = subprocess.run(whole, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def wait_until_up(instance: Instance) -> None:
    """Wait until web responds and the engine, if there is one, has loaded its network."""
    engine = httpx.Client(transport=httpx.HTTPTransport(uds=str(instance.data_dir / "engine.sock")))
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    with engine:
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{instance.url}/healthz", trust_env=False).raise_for_status()
                if instance.env["PIXIAN_API_URL"] == "embedded":
                    engine.get("http://engine/healthz").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                return
    raise TimeoutError((instance.data_dir / "log").read_text())
