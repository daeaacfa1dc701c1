"""How much is worked on at once, so that memory stays bounded however many callers there are."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, ServerFailed

RETRY_AFTER_SECONDS = 5


class MemoryBudget:
    """Room for a number of pixels: one of the largest pictures, or several small ones."""

    def __init__(self, pixels: int, timeout: float) -> None:
        self._free = self._all = pixels
        self._timeout = timeout
        self._changed = Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def room_for(self, pixels: int) -> Iterator[None]:
        """Waits for the room, and gives it back; raises ServerFailed 503/-10 after the time-out.

        Served in the order of arrival: whoever waits for much would else be passed by for ever.
        """
        pixels = min(pixels, self._all)
        with self._changed:
            self._wait_in_line(pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()

    def _wait_in_line(self, pixels: int) -> None:
        place = object()
        self._line.append(place)
        try:
            mine = self._changed.wait_for(
                lambda: self._line[0] is place and self._free >= pixels, self._timeout
            )
        finally:
            self._line.remove(place)
            self._changed.notify_all()
        if not mine:
            raise ServerFailed(
                503, Code.TIMED_OUT, "The engine is busy for too long.", retry_after=RETRY_AFTER_SECONDS
            )
