"""An experiment as a test plays it: in a process of its own, by its command line, judged by its last line."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chaos import servers
from conftest import ROOT

DATABASES = (
    "sqlite",
    pytest.param(
        "postgresql",
        marks=pytest.mark.skipif(bool(servers.postgres_lacks()), reason=str(servers.postgres_lacks())),
    ),
)


@dataclass(frozen=True)
class Played:
    """output: all that was printed."""

    code: int
    output: str

    def __getitem__(self, fact: str) -> int:
        """Return a figure of the last line."""
        found = re.search(rf" · {fact} (\d+)", self.output.rstrip().rpartition("\n")[2])
        assert found, self.output
        return int(found[1])


Play = Callable[..., Played]


@pytest.fixture
def play() -> Play:
    """Play an experiment; all of one test run share the migrated databases they begin with."""
    return played


def played(name: str, *arguments: object, seconds: float = 240) -> Played:
    """Play the experiment, and terminate it if it takes longer."""
    command = [sys.executable, "-m", "chaos", name, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate()
    return Played(process.returncode, output)
