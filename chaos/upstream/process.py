"""Processes of our own: how a child says that it is ready and learns that it is to end, and how a parent
starts it and is sure that it has ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_SECONDS = 5
Child = subprocess.Popen[str]


def announce(**facts: str) -> None:
    """The child's one line of output."""
    sys.stdout.write(json.dumps(facts | {"pid": os.getpid()}) + "\n")
    sys.stdout.flush()


async def until_ended() -> None:
    """Returns on SIGTERM and SIGINT; and when standard input ends, if that is a pipe: then whoever
    started this process has died without a word."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if Path("/dev/stdin").is_fifo():
        loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


def start(module: str, arguments: Sequence[str], prefix: Sequence[str] = ()) -> tuple[Child, dict[str, str]]:
    """A child that runs the module, and what it announced. Raises RuntimeError where it ended instead.

    ``prefix`` goes before the command: ``ip netns exec NAME`` for example.
    """
    command, pipe = [*prefix, sys.executable, "-m", module, *arguments], subprocess.PIPE
    child = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
    with cast("IO[str]", child.stdout) as output:
        line = output.readline()
    if not line:
        end(child)
        raise RuntimeError(f"{module} ended with {child.returncode} before it listened")
    return child, json.loads(line)


def end(child: Child) -> None:
    """Ends the child, by force where it doesn't listen."""
    child.terminate()
    try:
        child.wait(ENDS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        kill(child)
    if child.stdin:
        child.stdin.close()


def kill(child: Child) -> None:
    """SIGKILL: no line of its code runs any more."""
    child.kill()
    child.wait()
