"""How much is worked on at once, so that memory stays bounded however many callers there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Desk:
    """Room for a number of pixels: one of the largest pictures, or several small ones."""

    def __init__(self, pixels: int) -> None:
        self._free = self._all = pixels
        self._changed = Condition()
        self._next = Lock()

    @contextmanager
    def room_for(self, pixels: int) -> Iterator[None]:
        """Waits for the room, and gives it back."""
        pixels = min(pixels, self._all)
        # Whoever waits for much keeps the others behind, who would else slip past for ever.
        with self._next, self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify()
