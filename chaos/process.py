"""A process that an experiment forks, harms, and is sure to be rid of in the end."""

import ctypes
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
ENDS_WITHIN_SECONDS = 20
POLL_SECONDS = 0.01


@dataclass
class Process:
    """A child in a process group of its own. code: its exit code, or a negative signal; None until known."""

    pid: int
    code: int | None = None

    @property
    def is_alive(self) -> bool:
        return self.wait(0) is None

    def kill(self) -> None:
        """SIGKILL it and its children: no line of its code runs any more when this returns."""
        self._signal(signal.SIGKILL, os.killpg)
        self.wait()

    def terminate(self) -> None:
        """SIGTERM it, as an operator would."""
        self._signal(signal.SIGTERM, os.kill)

    def freeze(self) -> None:
        """Stop it and its children."""
        self._signal(signal.SIGSTOP, os.killpg)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT, os.killpg)

    def wait_frozen(self, seconds: float) -> bool:
        """Return True once it stands still; False if it ended, or still runs after so many seconds."""
        end = time.monotonic() + seconds
        while self.code is None and time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
                return True
            self.wait(POLL_SECONDS)
        return False

    def end(self, seconds: float = ENDS_WITHIN_SECONDS) -> int | None:
        """SIGTERM it, and SIGKILL it if that does nothing in time; return its code."""
        self.thaw()
        self.terminate()
        if self.wait(seconds) is None:
            self.kill()
        return self.code

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its code; None if it is still alive after so many seconds."""
        if self.code is None:
            descriptor = os.pidfd_open(self.pid)
            ended, _, _ = select.select([descriptor], [], [], seconds)
            os.close(descriptor)
            if ended:
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def _signal(self, number: signal.Signals, send: Callable[[int, int], None]) -> None:
        # The kernel doesn't reuse its number before it was waited for.
        if self.code is None:
            send(self.pid, number)


def fork(work: Callable[[], object], log: Path) -> Process:
    """Fork a child that does the work and nothing else of this process's: no ``finally``, no ``atexit``.

    The process must have no other thread, and no connection that the child could write into.
    """
    pid = os.fork()
    if pid:
        # Here too, so that its group can be killed at once. A child that runs another program by now has done
        # it itself, and is refused to this process.
        with suppress(PermissionError):
            os.setpgid(pid, pid)
        return Process(pid)
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the experiment's own handler would end it with 1
        # If the experiment is killed, the kernel kills its children.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for output in (1, 2):
            os.dup2(descriptor, output)
        os.close(descriptor)
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


def told_to_end() -> threading.Event:
    """Return an event that is set when this process is told to end, which it isn't made to any more."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def children(pid: int) -> list[int]:
    """Return the numbers of a process's children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def status(pid: int, name: str) -> int:
    """Return a figure of a process's status; of memory, in kilobytes. Raises OSError if it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


def freeze_all(processes: Sequence[Process]) -> None:
    for process in processes:
        process.freeze()


def kill_all(processes: Sequence[Process]) -> None:
    """Kill them at once: all stand still before the first one dies."""
    freeze_all(processes)
    for process in processes:
        process.kill()


def end_all(processes: Sequence[Process], seconds: float = 60) -> list[str]:
    """Terminate them; name those that had died, or didn't listen."""
    for process in processes:
        process.terminate()
    codes = [process.wait(seconds) for process in processes]
    return [f"a process ended with {code}" for code in codes if code != 0]
