"""Facts that processes note outside of the database."""

import json
import os
from pathlib import Path
from typing import Any

from chaos.waiting import wait_for

NOTED_WITHIN_SECONDS = 30


class Notes:
    """Lines of JSON in a file, which the database can't take along; each is synced at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def note(self, **facts: Any) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, json.dumps(facts).encode() + b"\n")  # one short write, which no other cuts in two
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[dict[str, Any]]:
        """Return all but a last line that a kill has torn."""
        return [json.loads(line) for line in self.path.read_bytes().rpartition(b"\n")[0].splitlines()]

    def wait(self) -> None:
        """Wait for another line."""
        size = self.path.stat().st_size
        wait_for(lambda: self.path.stat().st_size > size, NOTED_WITHIN_SECONDS, "another note")
