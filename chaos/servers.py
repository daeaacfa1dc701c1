"""Private PostgreSQL and Redis servers, for tests and for experiments that kill them as they please.

Each listens on a free port of 127.0.0.1, lives in a temporary folder of its own and is ended by the ids of
its own processes. A server that the machine runs anyway is neither used nor touched.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from chaos.hosts import LOOPBACK, NETWORK
from chaos.process import children
from chaos.waiting import wait_for

PATIENCE_SECONDS = 30
LOG_TAIL = 2000
DEBIAN = Path("/usr/lib/postgresql")
ACCOUNTS = ("postgres", "nobody")
PORTS = range(20_000, 32_000)  # below those that Linux gives to others, who'd have one in the meantime

POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    # What a killed postmaster has written is with the kernel; only a power cut asks for fsync.
    "fsync": "off",
    "synchronous_commit": "on",
}

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < %s
"""

# Waits until the process that uses the server is gone, however that came about, and ends what it left behind,
# even if SIGQUIT is ignored, as it is for everything that a shell runs in the background.
LEASH = """
cat >/dev/null
pid=$(cat pid)
case "$(readlink /proc/$pid/cwd)" in "$PWD"*) kill -QUIT $pid && sleep 1; kill -KILL $pid ;; esac
rm -rf "$PWD"
"""


class NotStartedError(Exception):
    """No server came up. Says why, with the end of its log if there is one."""


@dataclass
class Server:
    """A process whose folder and port outlive it. account: the user it runs as, None for ourselves."""

    folder: Path
    port: int
    command: list[str]
    account: str | None = None
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    ending: ClassVar = signal.SIGTERM

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it answers; raises NotStartedError if it ends instead."""
        with (self.folder / "log").open("ab") as log:
            # In a session of its own: a Ctrl-C ends it through us, after the tests that still use it.
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_run_as(self.account),
            )
        (self.folder / "pid").write_text(str(self.process.pid))
        wait_for(lambda: self.has_ended or self._answers(), PATIENCE_SECONDS, "its first answer")
        if self.has_ended:
            said = (self.folder / "log").read_text(errors="replace")[-LOG_TAIL:]
            raise NotStartedError(f"{self.command[0]} didn't come up: {said}")

    def kill(self) -> None:
        """SIGKILL. Returns when its children have noticed and are gone too."""
        if self.process is None or self.has_ended:
            return
        self.process.send_signal(signal.SIGSTOP)  # no new children from here on
        ending = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(map(_lives, ending)), PATIENCE_SECONDS, "the end of its children")

    def stop(self, *, cleanly: bool = False) -> None:
        """Stop it the quickest way that lets it clean up; its data is thrown away unless ``cleanly``."""
        if self.process is None or self.has_ended:
            return
        self.process.send_signal(signal.SIGINT if cleanly else self.ending)
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def _answers(self) -> bool:
        raise NotImplementedError


class Postgres(Server):
    """PostgreSQL, with the database *postgres* in it."""

    ending = signal.SIGQUIT

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def terminate_connections(self, share: float = 1) -> int:
        """Cut this share of the clients off, whatever they are doing; return how many those were."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return len(connection.execute(CUT, [share]).fetchall())

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False


class Redis(Server):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
            line.sendall(b"PING\r\n")
            return line.recv(5) == b"+PONG"
        return False


def postgres_lacks() -> str | None:
    """Say in one sentence why PostgreSQL can't be started here; None if it can."""
    try:
        postgres_program("postgres"), _postgres_account()
    except NotStartedError as error:
        return str(error)
    return None


def redis_lacks() -> str | None:
    """Say in one sentence why Redis can't be started here; None if it can."""
    return None if shutil.which("redis-server") else "redis-server is not on PATH."


def create_database(server: str, name: str) -> str:
    """Create an empty database on the PostgreSQL at this address; return the database's own."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


@contextmanager
def postgres(
    settings: Mapping[str, str] | None = None, *, template: Path | None = None
) -> Iterator[Postgres]:
    """Run a new PostgreSQL, empty or with a template's data; raises NotStartedError."""
    program, account = postgres_program("postgres"), _postgres_account()
    with server_folder(account) as folder:
        if template and template.exists():
            subprocess.run(["cp", "-a", template, folder / "data"], check=True)  # noqa: S603, S607
        else:
            _init(folder / "data", account)
        port, chosen = free_port(), POSTGRES_SETTINGS | dict(settings or {})
        command = [program, "-D", str(folder / "data"), "-p", str(port)]
        command += [f"--{name}={value}" for name, value in chosen.items()]
        with Postgres(folder, port, command, account) as server:
            yield server


@contextmanager
def redis(bind: str = LOOPBACK) -> Iterator[Redis]:
    """Run an empty Redis, which a kill empties again; raises NotStartedError."""
    if lacks := redis_lacks():
        raise NotStartedError(lacks)
    with server_folder(None) as folder:
        port = free_port()
        command = ["redis-server", "--bind", bind, "--port", str(port), "--dir", str(folder)]
        command += ["--protected-mode", "no", "--save", "", "--appendonly", "no"]
        with Redis(folder, port, command) as server:
            yield server


@contextmanager
def server_folder(account: str | None) -> Iterator[Path]:
    """Make a folder for one server. If this process is killed, the leash takes server and folder away."""
    with tempfile.TemporaryDirectory(prefix="pixian-server-") as name:
        if account:
            shutil.chown(name, account)
        quiet = subprocess.DEVNULL
        command = ["sh", "-c", LEASH]
        with subprocess.Popen(  # noqa: S603
            command, cwd=name, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        ):
            yield Path(name)


def _init(data: Path, account: str | None) -> None:
    """Make a cluster whose texts sort by code point, as SQLite's do, and whose case folding knows é."""
    command = [postgres_program("initdb"), "-D", str(data), "--no-sync", "--auth", "trust"]
    command += ["--username", "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8"]
    done = subprocess.run(  # noqa: S603
        command, cwd=data.parent, capture_output=True, text=True, check=False, **_run_as(account)
    )
    if done.returncode == 0:
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK} trust\n")
    else:
        raise NotStartedError(f"initdb failed: {done.stderr[-LOG_TAIL:]}")


def postgres_program(name: str) -> str:
    """Find a program on PATH, or among Debian's newest, which are kept off it."""
    if all(map(shutil.which, ("postgres", "initdb"))):
        return name
    versions = [path.parent for path in DEBIAN.glob("*/bin/postgres") if path.with_name("initdb").exists()]
    if not versions:
        raise NotStartedError(f"PostgreSQL's postgres and initdb are neither on PATH nor in {DEBIAN}.")
    newest = max(versions, key=lambda folder: [int(part) for part in folder.parent.name.split(".")])
    return str(newest / name)


def _postgres_account() -> str | None:
    """Return the user PostgreSQL runs as: it refuses to be root, and other users can only be themselves."""
    if os.geteuid():
        return None
    for name in ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NotStartedError(f"PostgreSQL refuses to run as root, and there is no user {' or '.join(ACCOUNTS)}.")


def _run_as(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def free_port() -> int:
    """Find a free port of 127.0.0.1, for a server that binds it later."""
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _lives(pid: int) -> bool:
    """Return True if it still runs: a process that waits to be reaped doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
