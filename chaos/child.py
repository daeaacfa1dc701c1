"""A process that an experiment starts, does harm to, and is sure to be rid of in the end."""

import ctypes
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
ENDS_WITHIN_SECONDS = 20
LOOK_EVERY_SECONDS = 0.01


@dataclass
class Child:
    """A child in a process group of its own. code: how it ended, a signal's number below zero; None as
    long as that isn't known."""

    pid: int
    code: int | None = None

    @property
    def lives(self) -> bool:
        return self.wait(0) is None

    def kill(self) -> None:
        """SIGKILL: no line of its code runs any more when this returns."""
        self._signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM, as an operator would."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def halted(self, seconds: float) -> bool:
        """Whether it was frozen within so many seconds; False where it ended, or runs on."""
        end = time.monotonic() + seconds
        while self.code is None and time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
                return True
            self.wait(LOOK_EVERY_SECONDS)
        return False

    def end(self, seconds: float = ENDS_WITHIN_SECONDS) -> int | None:
        """SIGTERM, and SIGKILL where that does nothing in time. Returns how it ended."""
        self.thaw()
        self.stop()
        if self.wait(seconds) is None:
            self.kill()
        return self.code

    def wait(self, seconds: float | None = None) -> int | None:
        """How it ended; None where it still lives after so many seconds."""
        if self.code is None and self._has_ended(seconds):
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def _has_ended(self, seconds: float | None) -> bool:
        descriptor = os.pidfd_open(self.pid)
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)

    def _signal(self, number: signal.Signals) -> None:
        # Until it was waited for, its number isn't given to anybody else.
        if self.code is None:
            os.kill(self.pid, number)


def fork(work: Callable[[], None], log: Path) -> Child:
    """A child that does the work and nothing else of this process's: no ``finally``, no ``atexit``.

    The process must have no other thread, and no connection that the child could write into.
    """
    pid = os.fork()
    if pid:
        return Child(pid)
    code = 1
    try:
        _be_alone(log)
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it was, this process must not go on as its parent would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _be_alone(log: Path) -> None:
    os.setpgid(0, 0)
    # Whoever kills the experiment is rid of its workers too.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for output in (1, 2):
        os.dup2(descriptor, output)
    os.close(descriptor)
