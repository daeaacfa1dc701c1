"""A limit on the pixels in memory at once, however many calls there are."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, ServerFailed

RETRY_AFTER_SECONDS = 5


class MemoryBudget:
    """A budget of pixels: enough for one of the largest pictures, or for several small ones."""

    def __init__(self, pixels: int, timeout: float) -> None:
        """Create a budget of so many pixels. timeout: seconds to wait for a share of it."""
        self._free = self._total = pixels
        self._timeout = timeout
        self._changed = Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def room_for(self, pixels: int) -> Iterator[None]:
        """Hold a share of the budget for the duration of the context; raise ServerFailed 503/-10 on time-out.

        Calls are served in their order of arrival. Otherwise small pictures could keep a large one waiting
        forever.
        """
        pixels = min(pixels, self._total)
        with self._changed:
            self._wait_in_queue(pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()

    def _wait_in_queue(self, pixels: int) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            available = self._changed.wait_for(
                lambda: self._queue[0] is ticket and self._free >= pixels, self._timeout
            )
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()
        if not available:
            raise ServerFailed(
                503,
                Code.TIMED_OUT,
                "The engine is overloaded. Try again in a few seconds.",
                retry_after=RETRY_AFTER_SECONDS,
            )
