"""Free the calls of a process that died, as soon as another one on its machine notices.

Each process keeps a lock on a file of its own in ``DATA_DIR/processes``. The kernel drops the lock when the
process ends, however it ends, but not while it is frozen: a frozen one may go on and finish its call. Of
other machines nothing is known here, since not every shared folder passes locks on: their leases run out.
"""

import fcntl
import os
import socket
from pathlib import Path

import structlog
from django.conf import settings

from jobs.queue import claims, workers
from jobs.queue.heartbeat import process_name

log = structlog.get_logger(__name__)

_held: dict[str, int] = {}
"""The descriptors of the locks, by the names of the processes: a fork has a name of its own."""


def announce() -> None:
    """Lock this process's file until the process ends."""
    name = process_name()
    if name in _held:
        return
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Created under another name, so that nobody finds it without its lock.
    coming = folder / f".{name}"
    descriptor = os.open(coming, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    coming.rename(folder / name)
    _held[name] = descriptor


def find() -> int:
    """End the leases of all processes of this machine that have died; return how many those are."""
    ours = f"{socket.gethostname()}:"
    try:
        files = [path for path in _folder().iterdir() if path.name.startswith(ours)]
    except FileNotFoundError:
        return 0
    return sum(_end_if_dead(path) for path in files if path.name not in _held)


def _end_if_dead(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # another process was faster
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        freed = claims.end_leases(path.name)
        workers.unregister(path.name)
        # Last, so that a crash before it, or a database that is away, leaves it to be done again.
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    if freed:
        log.warning("a process died; its calls are free", process=path.name, calls=freed)
    return True


def _folder() -> Path:
    return Path(settings.DATA_DIR, "processes")
