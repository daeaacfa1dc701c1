"""Keep files that no row refers to in a folder beside the others, from which they can be put back.

A file is moved to ``.quarantine/TIME/its/old/name``: by a rename, or in a bucket by a copy that is confirmed
before the file is deleted. Only an operator's command deletes it for good, or the deletion of its picture.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

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
    """A file in quarantine. ``name`` is its old one; ``at`` is None if its folder's name gives no time.

    path: within the bucket, if there is one.
    """

    path: Path
    name: str
    at: datetime | None
    size: int = 0


def is_possible() -> bool:
    """Return True if the storage can give a file another name."""
    return spool.root() is not None or _bucket() is not None


def contents() -> Iterator[QuarantinedFile]:
    """Yield all files in quarantine, the oldest first."""
    if bucket := _bucket():
        for row in bucket.objects(f"{NAME}/"):
            run_name, _, name = row.name.removeprefix(f"{NAME}/").partition("/")
            yield QuarantinedFile(Path(row.name), name, _time_of(run_name), row.size)
    root = spool.root()
    if root is None:
        return
    for run in sorted((root / NAME).glob("*")):
        for path in sorted(run.rglob("*")):
            if path.is_file():
                name, size = str(path.relative_to(run)), path.stat().st_size
                yield QuarantinedFile(path, name, _time_of(run.name), size)


def move(names: Iterable[str]) -> list[str]:
    """Move files to quarantine; return the names of those that stay there."""
    root, run = spool.root(), _new_run()
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
    if moved := _rename(spool.root(), name, _new_run()):
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
            if bucket := _bucket():
                bucket.delete(str(file.path))
            else:
                file.path.unlink()
    return count, size


def forget(folder: str) -> None:
    """Delete for good all files of a folder: those of a picture that was deleted."""
    if bucket := _bucket():
        for file in contents():
            if file.name.startswith(f"{folder}/"):
                bucket.delete(str(file.path))
    root = spool.root()
    for path in root.glob(f"{NAME}/*/{folder}") if root else ():
        shutil.rmtree(path, ignore_errors=True)


def _new_run() -> str:
    """Return a new folder's name for each move, so that no name in it is ever taken."""
    return f"{timezone.now().astimezone(UTC):{_TIME}}-{token_hex(2)}"


def _time_of(run: str) -> datetime | None:
    try:
        return datetime.strptime(run.rpartition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _bucket() -> Any:
    """Return the storage if it is a bucket, whose files are renamed by itself."""
    return default_storage if hasattr(default_storage, "move") else None


def _rename(root: Path | None, name: str, run: str) -> Path | None:
    """Return the file's new path, or None if another worker moved it first, or the storage can't."""
    if bucket := _bucket():
        return _rename_in(bucket, name, f"{NAME}/{run}/{name}")
    if root is None or not (root / name).exists():
        return None
    target = root / NAME / run / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        (root / name).rename(target)
    except FileNotFoundError:
        return None
    return target


def _rename_in(bucket: Any, name: str, target: str) -> Path | None:
    try:
        bucket.move(name, target)
    except (FileNotFoundError, FileExistsError):
        return None
    return Path(target)


def _put_back(file: QuarantinedFile) -> bool:
    """Return True if the file has its old name again; never replace another file."""
    if bucket := _bucket():
        return _rename_in(bucket, str(file.path), file.name) is not None
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
