"""Two hosts on one machine: network namespaces of our own, joined by a cable that exists nowhere else.

On the first are the experiment itself, the database, the broker and the upstream, at ADDRESS; on the second
are workers, which reach them only through the cable. Both hosts go when the processes on them do.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from chaos.child import Child, fork
from chaos.servers import Postgres, Redis
from chaos.stage import Stage

ADDRESS, OTHER, NETWORK = "10.77.0.1", "10.77.0.2", "10.77.0.0/24"
LOOPBACK = "127.0.0.1"
ENTERED = "EXPERIMENT_HOST"
"""Set in the environment of an experiment that has moved to the first host."""

POSTGRES_SETTINGS = {"listen_addresses": "0.0.0.0"}  # noqa: S104 - of its own host
PATIENCE_SECONDS = 5


def enter(module: str, arguments: Sequence[str]) -> bool:
    """Starts this program anew on the first host; returns True once it is there, and False where this system
    doesn't let this user have namespaces."""
    if os.environ.get(ENTERED):
        return True
    if not _can_unshare():
        return False
    os.environ[ENTERED] = "yes"
    return os.execlp("unshare", "unshare", "--net", sys.executable, "-m", module, *arguments)  # noqa: S606, S607


@contextmanager
def other() -> Iterator[list[str]]:
    """The second host; yields what goes before a command that is to run on it."""
    keeper = fork(lambda: os.execlp("unshare", "unshare", "--net", "sleep", "infinity"), Path(os.devnull))  # noqa: S606, S607
    try:
        there = ["nsenter", f"--net={_own_network(keeper)}"]
        _connect(keeper.pid, there)
        yield there
    finally:
        keeper.kill()


def joined(stage: Stage) -> Stage:
    """The stage with its servers open to the other host, and settings whose addresses hold on both."""
    for server in (stage.postgres, stage.redis):
        if server:
            let_in(server)
    seen = {name: value.replace(LOOPBACK, ADDRESS) for name, value in stage.environment.items()}
    return replace(stage, environment=seen)


def let_in(server: Postgres | Redis) -> None:
    """Opens a server to the other host. A Redis has to be opened anew after each start."""
    if isinstance(server, Postgres):
        with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK} trust\n")
        _run("psql", server.url, "--quiet", "--command", "SELECT pg_reload_conf()")
        return
    with socket.create_connection((LOOPBACK, server.port), PATIENCE_SECONDS) as line:
        for setting in ("protected-mode no", "bind 0.0.0.0"):
            line.sendall(f"CONFIG SET {setting}\r\n".encode())
            line.recv(5)


def _can_unshare() -> bool:
    command = ["unshare", "--net", "ip", "link"]
    with suppress(OSError):
        return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603
    return False


def _own_network(keeper: Child) -> str:
    """Its namespace, once it has left ours."""
    mine, its = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{keeper.pid}/ns/net")
    end = time.monotonic() + PATIENCE_SECONDS
    while its.readlink() == mine:
        if time.monotonic() > end:
            raise TimeoutError("no second host came up")
        time.sleep(0.01)
    return str(its)


def _connect(pid: int, there: Sequence[str]) -> None:
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(pid))
    _run(*there, "ip", "link", "set", "lo", "up")
    for prefix, device, address in ([], "here", ADDRESS), (there, "there", OTHER):
        _run(*prefix, "ip", "address", "add", f"{address}/24", "dev", device)
        _run(*prefix, "ip", "link", "set", device, "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
