"""Long looks at many files that end at once when their process is told to."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Stop = Callable[[], bool]
"""Returns True once the process is told to end."""


class StoppedError(Exception):
    """The process was told to end before all was seen."""


def never() -> bool:
    return False


def until(stop: Stop, items: Iterable[Item]) -> Iterator[Item]:
    """The items; raises StoppedError between two of them."""
    for item in items:
        if stop():
            raise StoppedError
        yield item
