"""The second witness: JSON lines that are only ever appended, and what they say.

A call's line is written when its upload is in (or has broken off, then ``sha256`` is null), its charge's line
when it is charged. Both are synced before a byte of the response leaves, so whatever a client has seen stands
here, even after a kill -9.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A call that arrived.

    at: Unix time of its head. status: None if none was sent. sha256, bytes: of the image part; None if it
    didn't arrive whole or wasn't awaited.
    """

    n: int
    at: float
    fault: str
    status: int | None
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True)
class Charge:
    """header: what X-Credits-Charged said, several joined by a comma; None if it wasn't sent."""

    call: int
    at: float
    sha256: str
    microcredits: int
    header: str | None


@dataclass(frozen=True)
class Log:
    """All that a journal says, in its order."""

    calls: list[Call] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)

    @property
    def total_microcredits(self) -> int:
        return sum(charge.microcredits for charge in self.charges)

    def charges_of(self, sha256: str) -> list[Charge]:
        return [charge for charge in self.charges if charge.sha256 == sha256]

    def calls_of(self, sha256: str) -> list[Call]:
        return [call for call in self.calls if call.sha256 == sha256]


def read_log(path: Path) -> Log:
    """Read a journal, also while it is being written.

    A torn last line counts as not written; any other line that can't be read raises ValueError.
    """
    log = Log()
    for text in path.read_bytes().rpartition(b"\n")[0].splitlines():
        values = json.loads(text)
        if values.pop("what") == "call":
            log.calls.append(Call(**values))
        else:
            log.charges.append(Charge(**values))
    return log


class Journal:
    """The journal's one writer. Raises BlockingIOError if another process writes it.

    last_call: the highest number of a call so far. balance_microcredits: what charges leave of 0.
    """

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._fsync = fsync
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two writers would reuse each other's numbers
        # What a crash left half written was never answered; the next line must not continue it.
        os.ftruncate(self._file, path.read_bytes().rfind(b"\n") + 1)
        log = read_log(path)
        self.last_call = max((call.n for call in log.calls), default=0)
        self.balance_microcredits = -log.total_microcredits

    def close(self) -> None:
        os.close(self._file)

    def write(self, line: Call | Charge) -> None:
        """Append the line. It survives this process from now on, and the machine once it is synced."""
        text = json.dumps({"what": type(line).__name__.lower()} | asdict(line)).encode() + b"\n"
        while text:
            text = text[os.write(self._file, text) :]
        if isinstance(line, Charge):
            self.balance_microcredits -= line.microcredits

    def sync(self) -> None:
        if self._fsync:
            os.fsync(self._file)
