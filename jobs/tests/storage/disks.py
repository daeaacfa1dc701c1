"""Disks that are full, or a second one, for tests."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from jobs.models import Job
from jobs.storage import spool

NO_MOUNT = "LEFT OUT: the tests on a full volume, since only root may mount one here"


def job_of(width: int, height: int, options: dict[str, str] | None = None) -> Job:
    """Return a job that no database has."""
    source = "aurora/0123456789abcdef/source.png"
    return Job(width=width, height=height, options=options or {}, source=source)


def spooled(settings: Settings) -> list[Path]:
    """Return the files in every folder for temporary files."""
    folders = {Path(settings.FILE_UPLOAD_TEMP_DIR), Path(settings.SPOOL_ASIDE_DIR), spool.folder()}
    return [path for folder in folders if folder.exists() for path in folder.iterdir()]


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spool, "allocate", full)


@contextmanager
def volume(place: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system; skip the test if that is not possible."""
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None or not _mounted(place, megabytes):
        pytest.skip(NO_MOUNT)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _mounted(place: Path, megabytes: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
