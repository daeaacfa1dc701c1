"""Share what processes count, by files of their own in one folder of their machine.

A process holds a lock on ``NAME.alive`` for as long as it lives. What dead ones counted is added to the files
``*_ended.db``, so that no sum ever falls and files don't pile up. A folder is of one machine: the files are
mapped into memory.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import prometheus_client.mmap_dict
import prometheus_client.multiprocess
import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

_library: Any = prometheus_client  # these parts of it have no types

KINDS = ("counter", "histogram")
ENDED = "ended"
OWN_BYTES, ENDED_BYTES = 1 << 20, 1 << 22
"""Room for every series that there is, and for those of earlier releases. It is taken beforehand, since a
mapped file that grows on a full disk ends its process."""

FAILURES = (OSError, RuntimeError)  # the second one for a damaged file

_alive: list[IO[str]] = []
"""The locks of this process, which end with it."""


def share() -> None:
    """Let this process count in files from now on, if /metrics is on and there is room for them."""
    if not settings.METRICS_TOKEN:
        return
    folder, name = Path(settings.METRICS_DIR), uuid4().hex
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            _add_up_ended(folder)
            _alive.append(_hold(folder / f"{name}.alive"))
            for kind in KINDS:
                _allocate(folder / f"{kind}_{name}.db", OWN_BYTES)
    except FAILURES as error:
        log.warning("this process is left out of the metrics", error=str(error))
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    _library.values.ValueClass = _library.values.MultiProcessValue(lambda: name)


def add_up_ended(folder: Path) -> None:
    """Add what dead processes counted to one pair of files, and remove theirs."""
    try:
        with _locked(folder, fcntl.LOCK_EX):
            _add_up_ended(folder)
    except FAILURES as error:  # tried again by the next process
        log.warning("the metrics of ended processes can't be added up", error=str(error))


def collect(folder: Path) -> Iterable[Any]:
    """Return the metrics of all processes, dead and alive."""
    if not folder.is_dir():
        return []
    with _locked(folder, fcntl.LOCK_SH):
        return list(_library.multiprocess.MultiProcessCollector(None, str(folder)).collect())


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, how)
        yield


def _hold(path: Path) -> IO[str]:
    """Return the file, locked; raise BlockingIOError if its process is alive."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def _add_up_ended(folder: Path) -> None:
    for path in folder.glob("*.alive"):
        try:
            _hold(path).close()
        except BlockingIOError:
            continue
        for kind in KINDS:
            _add(folder / f"{kind}_{path.stem}.db", folder / f"{kind}_{ENDED}.db")
        path.unlink()


def _add(ended: Path, total: Path) -> None:
    if not ended.exists():  # added by a process that was killed before it removed the lock
        return
    _allocate(total, ENDED_BYTES)
    sums = _library.mmap_dict.MmapedDict(str(total))
    try:
        for key, value, *_ in _library.mmap_dict.MmapedDict.read_all_values_from_file(str(ended)):
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
    ended.unlink()


def _allocate(path: Path, size: int) -> None:
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, size)
