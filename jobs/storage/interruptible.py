"""Long loops over many files that stop as soon as their process is asked to end."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Stop = Callable[[], bool]
"""Returns True once the process was asked to end."""


class StoppedError(Exception):
    """The process was asked to end before the loop was through."""


def keep_going() -> bool:
    return False


def unless_stopped(stop: Stop, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items; raise StoppedError between two of them once the process should end."""
    for item in items:
        if stop():
            raise StoppedError
        yield item
