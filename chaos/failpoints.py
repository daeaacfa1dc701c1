"""The points that a worker's thread passes during a call, and its death at one of them.

The product runs as it is. Around each commit and each I/O, and amid each write, the call's thread says where
it is; at the chosen point its process signals itself.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR
from typing import IO, Any, cast

from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.backends.base.base import BaseDatabaseWrapper

from chaos.patches import wrap

CALL_THREAD = "t1"
WATCHED: tuple[tuple[Any, str, str], ...] = (
    (BaseDatabaseWrapper, "_commit", "commit"),
    (socket.socket, "connect", "connect"),
    (socket.socket, "recv", "receive"),
    (FileSystemStorage, "_open", "open"),
    (FileSystemStorage, "_save", "save"),
    (FileSystemStorage, "exists", "look for a file"),
    (os, "posix_fallocate", "make room"),
    (os, "rename", "rename"),
)


@dataclass
class Failpoints:
    """The points of one process.

    point: the number, from 1, of the one at which it sends itself the signal; None to pass them all. trace: a
    file for their names.
    """

    point: int | None = None
    number: signal.Signals = signal.SIGKILL
    trace: Path | None = None
    passed: int = 0

    def install(self) -> None:
        """Watch this process from here on."""
        for owner, name, event in WATCHED:
            wrap(owner, name, partial(self._around, event))
        wrap(os, "fsync", self._sync)
        wrap(socket.socket, "send", self._send)
        for name in ("flush", "truncate"):
            setattr(TemporaryUploadedFile, name, self._of_file(name))
        TemporaryUploadedFile.write = property(self._write)  # type: ignore[assignment,method-assign]

    def reach(self, name: str) -> None:
        if threading.current_thread().name != CALL_THREAD:
            return
        self.passed += 1
        if self.trace:
            with self.trace.open("a") as file:
                file.write(f"{name}\n")
        if self.passed == self.point:
            # Signal this very thread: it would run on for a moment if another one took the signal.
            signal.pthread_kill(threading.get_ident(), self.number)

    def _around(self, event: str, done: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.reach(f"before {event}")
        result = done(*args, **options)
        self.reach(f"after {event}")
        return result

    def _sync(self, done: Callable[[int], None], descriptor: int) -> None:
        what = "folder" if S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        self._around(f"sync of the {what}", done, descriptor)

    def _send(self, done: Callable[..., int], sock: socket.socket, data: Any, *flags: int) -> int:
        """Send in two halves."""
        half = len(data) // 2
        self.reach("before send")
        sent = done(sock, data[:half], *flags) if half else 0
        self.reach("within send")
        sent += done(sock, data[half:], *flags) if sent == half else 0
        self.reach("after send")
        return sent

    def _of_file(self, name: str) -> property:
        return property(lambda file: partial(self._around, name, getattr(file.file, name)))

    def _write(self, file: TemporaryUploadedFile) -> Callable[[bytes], None]:
        """Write in two halves, the first one on its way to the disk."""

        def watched(data: bytes) -> None:
            inner, half = cast("IO[bytes]", file.file), len(data) // 2
            self.reach("before write")
            inner.write(data[:half])
            inner.flush()
            self.reach("within write")
            inner.write(data[half:])
            self.reach("after write")

        return watched
