"""Small volumes, to be filled to their last byte."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BLOCK = 1 << 20


class NotMountedError(Exception):
    """No file system could be mounted here; only root may."""


@contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of this size in a folder; raises NotMountedError."""
    options = f"size={megabytes}m,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMountedError(f"a volume can't be mounted: {error}") from error
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)  # noqa: S603, S607


class Volume:
    """A volume that is filled and has room again."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._filler = place / "filler"

    def take(self, folder: Path) -> None:
        """Move a folder here, and leave a link to it."""
        moved = self._place / f"{folder.parent.name}-{folder.name}"
        subprocess.run(["cp", "-a", folder, moved], check=True)  # noqa: S603, S607
        subprocess.run(["rm", "-r", folder], check=True)  # noqa: S603, S607
        folder.symlink_to(moved)

    def fill(self) -> None:
        """Leave no byte, whatever others free meanwhile."""
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (BLOCK, 4096, 1):
                with suppress(OSError):
                    while True:
                        os.write(file, bytes(size))
        finally:
            os.close(file)

    def empty(self) -> None:
        self._filler.unlink()

    def stay_full(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.fill()
            time.sleep(0.1)
