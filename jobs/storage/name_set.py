"""Hold the names of millions of files in little memory."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np

BATCH = 10_000

Item = TypeVar("Item")


class NameSet:
    """A set of names, of each of which only a hash of 64 bits is kept.

    Two names may look alike: with ten million, the odds that any do are one in 300,000. The hash is salted
    anew in each process, so the same two don't twice.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._hashes = array("q", map(hash, names))
        self._is_sorted = False

    def __len__(self) -> int:
        return len(self._hashes)

    def adding(self, names: Iterable[str]) -> Iterator[str]:
        """Pass the names on, and add each."""
        for name in names:
            self._hashes.append(hash(name))
            self._is_sorted = False
            yield name

    def missing(self, items: Iterable[Item], key: Callable[[Item], str] = str) -> Iterator[Item]:
        """Yield the items whose name isn't in the set. key: returns an item's name."""
        remaining = iter(items)
        while batch := list(islice(remaining, BATCH)):
            have = self._have(map(key, batch))
            yield from (item for item, is_here in zip(batch, have, strict=True) if not is_here)

    def _have(self, names: Iterable[str]) -> list[bool]:
        wanted = np.fromiter(map(hash, names), np.int64)
        if not self._hashes:
            return [False] * len(wanted)
        hashes = np.frombuffer(self._hashes, np.int64)
        if not self._is_sorted:
            hashes.sort()
            self._is_sorted = True
        places = np.searchsorted(hashes, wanted).clip(max=len(hashes) - 1)
        return [bool(same) for same in hashes[places] == wanted]
