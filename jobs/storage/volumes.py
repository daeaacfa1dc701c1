"""Measure the file systems that hold this instance's data."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from jobs.storage import spool

FILES, DATA = "files", "data"
WHOLE = 100


@dataclass(frozen=True)
class Volume:
    """A file system. name: what it holds, FILES or only DATA; folder: the one it was found by."""

    name: str
    folder: Path
    total_bytes: int
    free_bytes: int
    percent_used: int


def volumes() -> Iterator[Volume]:
    """Yield each file system once: that of the files, and that of DATA_DIR if it is another one."""
    folders = {FILES: spool.root(), DATA: Path(settings.DATA_DIR)}
    seen: set[int] = set()
    for name, folder in folders.items():
        if folder and folder.exists() and folder.stat().st_dev not in seen:
            seen.add(folder.stat().st_dev)
            yield _measure(name, folder)


def _measure(name: str, folder: Path) -> Volume:
    usage = shutil.disk_usage(folder)
    # As ``df`` counts: what is reserved for root is neither used nor free.
    usable = usage.used + usage.free
    percent = -(-usage.used * WHOLE // usable) if usable else WHOLE
    return Volume(name, folder, usage.total, usage.free, percent)
