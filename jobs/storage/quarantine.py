"""Keep files that no row refers to in a folder beside the others, from which they can be put back.

A file is moved by a rename to ``.quarantine/TIME/its/old/name``. Only an operator's command deletes it.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import structlog
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.storage import instance, inventory, spool

log = structlog.get_logger(__name__)

NAME = ".quarantine"
MIN_AGE = timedelta(days=7)
_TIME = "%Y-%m-%dT%H-%M-%SZ"


@dataclass(frozen=True)
class QuarantinedFile:
    """A file in quarantine. ``name`` is its old one; ``at`` is None if its folder's name gives no time."""

    path: Path
    name: str
    at: datetime | None

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def contents() -> Iterator[QuarantinedFile]:
    """Yield all files in quarantine, the oldest first."""
    root = spool.root()
    if root is None:
        return
    for run in sorted((root / NAME).glob("*")):
        for path in sorted(run.rglob("*")):
            if path.is_file():
                yield QuarantinedFile(path, str(path.relative_to(run)), _time_of(run.name))


def move(names: Iterable[str]) -> list[str]:
    """Move files to quarantine; return the names of those that stay there."""
    root, run = spool.root(), _new_run()
    if root is None:
        return []
    moved = {name: path for name in names if (path := _rename(root, name, run))}
    # From here on no process finds them under their old names. A row that was written in the meantime is seen
    # now, and its file goes back.
    for name in inventory.referenced(moved):
        _put_back(QuarantinedFile(moved.pop(name), name, None))
    for name, path in moved.items():
        log.warning("a file that no row refers to was moved to quarantine", file=name, to=str(path))
    return list(moved)


def set_aside(name: str) -> None:
    """Move a paid result that was stored for a job which doesn't take it any more."""
    root = spool.root()
    if root is not None and (moved := _rename(root, name, _new_run())):
        log.warning("a paid result that its job doesn't have was moved to quarantine", to=str(moved))


def put_back(names: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Put files back under their old names: these, or all if no names are given.

    Returns the names of those that went back, and of those whose name is taken by another file. Raises
    ForeignFilesError.
    """
    instance.check()
    chosen = set(names)
    back: list[str] = []
    taken: list[str] = []
    for file in list(contents()):
        if not chosen or file.name in chosen:
            (back if _put_back(file) else taken).append(file.name)
    return back, taken


def remove(older_than: timedelta) -> tuple[int, int]:
    """Delete what has been in quarantine for this long; return the number of files and of bytes.

    Only an operator's command calls this. A file that a row refers to by now, and misses, is kept. Raises
    ForeignFilesError.
    """
    instance.check()
    now, age = timezone.now(), max(older_than, MIN_AGE)
    old = [file for file in contents() if file.at is not None and now - file.at >= age]
    referenced = inventory.referenced({file.name for file in old})
    count = size = 0
    for file in old:
        if file.name not in referenced or default_storage.exists(file.name):
            count, size = count + 1, size + file.size
            file.path.unlink()
    return count, size


def _new_run() -> str:
    """Return a new folder's name for each move, so that no name in it is ever taken."""
    return f"{timezone.now().astimezone(UTC):{_TIME}}-{token_hex(2)}"


def _time_of(run: str) -> datetime | None:
    try:
        return datetime.strptime(run.rpartition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _rename(root: Path, name: str, run: str) -> Path | None:
    """Return the file's new path, or None if another worker moved it first."""
    if not (root / name).exists():
        return None
    target = root / NAME / run / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        (root / name).rename(target)
    except FileNotFoundError:
        return None
    return target


def _put_back(file: QuarantinedFile) -> bool:
    """Return True if the file has its old name again; never replace another file."""
    root = spool.root()
    if root is None:
        return False
    target = root / file.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # Unlike a rename, a link never replaces an existing file.
        os.link(file.path, target)
    except FileExistsError:
        if not target.samefile(file.path):  # the same file: a crash came between the link and the unlink
            return False
    except OSError:  # a file system without hard links
        if target.exists():
            return False
        shutil.move(file.path, target)
        return True
    file.path.unlink()
    return True
