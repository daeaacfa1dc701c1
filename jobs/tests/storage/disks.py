"""Disks that are full, or a second one, for tests."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from chaos.volumes import NotMountedError, mounted
from jobs.models import Job
from jobs.storage import spool


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
    with ExitStack() as ends:
        try:
            ends.enter_context(mounted(place, megabytes))
        except NotMountedError as error:
            pytest.skip(f"LEFT OUT: the tests on a full volume, since {error}")
        yield place
