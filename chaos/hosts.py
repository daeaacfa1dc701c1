"""Two hosts on one machine: network namespaces of our own, joined by a cable that exists nowhere else.

On the first are the experiment itself, the database, the broker and the upstream, at ADDRESS; on the second
are workers, which reach them only through the cable. Both hosts go when the processes on them do.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from chaos.process import fork
from chaos.waiting import wait_for

ADDRESS, OTHER, NETWORK = "10.77.0.1", "10.77.0.2", "10.77.0.0/24"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - of its own host
LOOPBACK = "127.0.0.1"
ENTERED = "EXPERIMENT_HOST"  # set in the environment of an experiment that has moved to the first host
PATIENCE_SECONDS = 5
CLONE_NEWNET = 0x40000000
CABLE = f"""
there="nsenter --net=/proc/$1/ns/net"
ip link add here type veth peer name there netns $1
ip address add {ADDRESS}/24 dev here
$there ip address add {OTHER}/24 dev there
for device in lo here; do ip link set $device up; done
for device in lo there; do $there ip link set $device up; done
"""


def enter(arguments: Sequence[str]) -> bool:
    """Start this program anew on the first host; return True once it is there, False if it can't be."""
    if os.environ.get(ENTERED):
        return True
    with suppress(OSError):
        command = ["unshare", "--net", "ip", "link"]
        if not subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603
            os.environ[ENTERED] = "yes"
            os.execlp("unshare", "unshare", "--net", sys.executable, "-m", "chaos", *arguments)  # noqa: S606, S607
    return False


@contextmanager
def other() -> Iterator[Path]:
    """Set the second host up; yield the file that stands for its network."""
    keeper = fork(lambda: os.execlp("unshare", "unshare", "--net", "sleep", "infinity"), Path(os.devnull))  # noqa: S606, S607
    try:
        mine, its = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{keeper.pid}/ns/net")
        wait_for(lambda: its.readlink() != mine, PATIENCE_SECONDS, "the second host")
        subprocess.run(["sh", "-ec", CABLE, "sh", str(keeper.pid)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
        yield its
    finally:
        keeper.kill()


def move(network: Path) -> None:
    """Move this process, which has no other thread yet, to a host."""
    with network.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "can't move to the other host")
