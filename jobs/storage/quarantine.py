"""Where files go that no row names: never away, but into a folder beside the others, from which they come
back.

A file without a row may be what a crash left behind, or the paid result of a job that the database has
forgotten, because it was restored from an older copy. Nobody can tell, so nothing here removes one by itself.
It is moved by a rename to ``.quarantine/TIME/its/old/name``, if the folder is this database's
(``jobs.storage.instance``), and if it is one of a few: above ``MOST_FILES``, or one in ``MOST_SHARE`` of
all, it isn't a crash's leftover any more, and it is only reported. One file is always few, or a store of less
than a hundred could never be tidied.

A storage that isn't a folder of ours (S3) knows no rename, and a copy that is removed afterwards could be
lost in between: there it is only reported.
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

from jobs.storage import files, instance, interruptible, leftovers, spool
from jobs.storage.interruptible import Stop, until

log = structlog.get_logger(__name__)

NAME = ".quarantine"
MOST_FILES = 20
MOST_SHARE = 100
SETTLED_DOWN = timedelta(hours=1)
"""A file is there before its row is; after so long no row comes any more."""
LEAST_AGE = timedelta(days=7)
_TIME = "%Y-%m-%dT%H-%M-%SZ"


@dataclass(frozen=True)
class Report:
    """What a sweep did. left: unnamed files that stay where they are, since there are too many of them."""

    moved: list[str]
    left: list[str]
    total: int


@dataclass(frozen=True)
class Kept:
    """A file in quarantine: ``name`` is its old one. at: since when, None if the folder doesn't say."""

    path: Path
    name: str
    at: datetime | None

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def strays(found: set[str]) -> Iterator[str]:
    """Those of the files that no row names, nor will."""
    names = [name for name in sorted(found - files.named_among(found)) if _is_old(name)]
    # Asked again: a row may have come after the first look.
    named = files.named_among(names)
    yield from (name for name in names if name not in named)


def sweep(*, stop: Stop = interruptible.never, braked: bool = True) -> Report:
    """Move what no row names into quarantine, or only report it if that is too much.

    Raises ForeignFilesError if the files are another database's, and StoppedError.
    """
    instance.check()
    found = set(until(stop, files.stored_names()))
    unnamed = [*strays(found), *_unclaimed()]
    most = min(MOST_FILES, max(1, len(found) // MOST_SHARE))
    if spool.root() is None or (braked and len(unnamed) > most):
        log.error("files that no row names are left where they are", files=len(unnamed), of=len(found))
        return Report([], unnamed, len(found))
    return Report(_move(until(stop, unnamed)), [], len(found))


def set_aside(name: str) -> None:
    """Move one result that was stored for nobody, as its own job says; it was paid for."""
    root = spool.root()
    if root is not None and (moved := _rename(root, name, _new_run())):
        log.warning("a paid result that its job doesn't have was moved to quarantine", to=str(moved))


def kept() -> Iterator[Kept]:
    """All that lies in quarantine, the oldest first."""
    root = spool.root()
    if root is None:
        return
    for run in sorted((root / NAME).glob("*")):
        for path in sorted(run.rglob("*")):
            if path.is_file():
                yield Kept(path, str(path.relative_to(run)), _time_of(run.name))


def put_back(wanted: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Put files back to their names, all of them unless some are wanted; returns these, and those whose name
    is taken by now. Raises ForeignFilesError."""
    instance.check()
    chosen = set(wanted)
    back: list[str] = []
    taken: list[str] = []
    for file in list(kept()):
        if not chosen or file.name in chosen:
            (back if _put_back(file) else taken).append(file.name)
    return back, taken


def remove(older_than: timedelta) -> tuple[int, int]:
    """Remove for good what has lain in quarantine for so long; returns the number of files and bytes.

    Only an operator's command calls this. A file that a row names by now, and misses, stays. Raises
    ForeignFilesError.
    """
    instance.check()
    now, age = timezone.now(), max(older_than, LEAST_AGE)
    old = [file for file in kept() if file.at is not None and now - file.at >= age]
    named = files.named_among({file.name for file in old})
    count = size = 0
    for file in old:
        if file.name not in named or default_storage.exists(file.name):
            count, size = count + 1, size + file.size
            file.path.unlink()
    return count, size


def _unclaimed() -> Iterator[str]:
    """Whole results that were left in the spool, and for which no call is resumed any more."""
    expected = files.arrived()
    waiting = {spool.stem_by(name) for name in expected}
    for path in leftovers.unclaimed():
        if path.name.split(".")[0] not in waiting:
            yield f"{spool.NAME}/{path.name}"


def _is_old(name: str) -> bool:
    try:
        return timezone.now() - default_storage.get_modified_time(name) >= SETTLED_DOWN
    except FileNotFoundError:
        return False


def _new_run() -> str:
    """A folder of its own for each go, so that no name in it is ever taken."""
    return f"{timezone.now().astimezone(UTC):{_TIME}}-{token_hex(2)}"


def _time_of(run: str) -> datetime | None:
    try:
        return datetime.strptime(run.rpartition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _move(names: Iterable[str]) -> list[str]:
    """The names of the files that were moved and aren't needed where they were."""
    root, run = spool.root(), _new_run()
    if root is None:
        return []
    renamed = {name: path for name in names if (path := _rename(root, name, run))}
    # From here on nobody finds them under their old names, so a row that was written meanwhile is seen now.
    for name in files.named_among(renamed):
        _put_back(Kept(renamed.pop(name), name, None))
    for name, path in renamed.items():
        log.warning("a file that no row names was moved to quarantine", file=name, to=str(path))
    return list(renamed)


def _rename(root: Path, name: str, run: str) -> Path | None:
    """Where the file lies now; None if it is gone, since another worker was faster."""
    if not (root / name).exists():
        return None
    target = root / NAME / run / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        (root / name).rename(target)
    except FileNotFoundError:
        return None
    return target


def _put_back(file: Kept) -> bool:
    """Whether the file has its old name again, which isn't taken from any other."""
    root = spool.root()
    if root is None:
        return False
    target = root / file.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # Unlike a rename, a link never replaces what is there.
        os.link(file.path, target)
    except FileExistsError:
        if not target.samefile(file.path):  # else a crash came after the link
            return False
    except OSError:  # a file system without links
        if target.exists():
            return False
        shutil.move(file.path, target)
        return True
    file.path.unlink()
    return True
